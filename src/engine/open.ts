/** From a path or bytes to all that is known of a model before its weights are loaded: see model/open.ts. */
import * as check from "../check.js";
import type { DownloadOptions } from "../hub/copies.js";
import { download } from "../hub/pull.js";
import type { ModelConfig } from "../model/config.js";
import { headOf, modelOf, type OpenHead, type OpenModel } from "../model/open.js";
import { type ModelSummary, summaryOf } from "../model/summary.js";
import { type ModelInput, openGguf, readGguf } from "./input.js";

/** Of `openHead` and `modelSummary`. */
export interface OpenOptions {
  /** refuse a file whose metadata needs repair; default false */
  readonly strict?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHECKS: check.OptionChecks<OpenOptions> = { strict: check.boolean, signal: check.signal };

/** A model whose files are open. */
export interface HeldModel extends OpenModel, AsyncDisposable {
  /** Closes the files that were opened for it; nobody may read its weights any more. Safe to call twice. */
  close(): Promise<void>;
}

/** Bytes as they are; the path of what a path or a URL names, downloaded where it is on a server. */
export async function located(
  model: string | URL | ModelInput,
  options: DownloadOptions,
): Promise<string | ModelInput> {
  return typeof model === "string" || model instanceof URL ? download(model, options) : model;
}

/** Reads the head of a model and repairs its metadata. */
export async function openHead(model: string | ModelInput, options: OpenOptions = {}): Promise<OpenHead> {
  const { strict = false, signal } = check.options(options, CHECKS);
  return headOf(await readGguf(model, { signal }), strict);
}

/** The same for what must be a model which can run here; the caller closes it. */
export async function openModel(model: string | ModelInput, options: OpenOptions = {}): Promise<HeldModel> {
  const { strict = false, signal } = check.options(options, CHECKS);
  const file = await openGguf(model, { signal });
  const { close } = file;
  try {
    return { ...(await modelOf(file, strict)), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads the head of the model at a path, or of bytes. */
export async function modelSummary(
  model: string | ModelInput,
  config: Pick<ModelConfig, "arch">,
): Promise<ModelSummary> {
  const { arch } = check.object("the config of an engine")("config", config) as typeof config;
  return summaryOf(await readGguf(model), { arch });
}
