/** The models that are measured: shapes with random weights, made once into models/cache/. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir } from "node:fs/promises";
import type { FormatName, Head } from "./make-model/shapes.js";
import { CACHE } from "./options.js";
import { ROOT } from "./results.js";

/** `given`, or the path of a made model. */
export async function modelPath(given: string | undefined, format: FormatName = "i2_s"): Promise<string> {
  return given ?? (await madeModel({ shape: "2B-4T", format }));
}

export interface Made {
  readonly shape: string;
  readonly format: FormatName;
  /** type of a head of its own */
  readonly head?: Head;
}

/** The path of a made model, which is written first if it is not there. */
export async function madeModel({ shape, format, head }: Made): Promise<string> {
  const path = `${CACHE}${shape}${format === "i2_s" ? "" : `-${format}`}.gguf`;
  if (await exists(path)) return path;
  await mkdir(CACHE, { recursive: true });
  const options = ["--shape", shape, "--format", format, ...(head === undefined ? [] : ["--head", head])];
  const maker = spawn(process.execPath, [`${ROOT}dist/bench/make-model.js`, ...options, path], { stdio: "inherit" });
  const [code] = await once(maker, "exit");
  if (code !== 0) throw new Error(`make-model: expected exit status 0, got ${code}`);
  return path;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
