/**
 * `--model` → a file, and a file → a loaded engine, with a progress bar where there is a terminal to show it on.
 */
import cliProgress from "cli-progress";
import {
  boxModel,
  download,
  Engine,
  type EngineOptions,
  type GgufValue,
  type Repair,
  repairMetadata,
} from "../index.js";
import { type CommonOptions, engineOptions } from "./options.js";
import { note } from "./streams.js";

/** The path of the model to use, by default of the one in the box; a URL is downloaded first. */
export async function modelFile({ model }: CommonOptions, signal?: AbortSignal): Promise<string> {
  if (model === undefined) return boxModel();
  const bar = new LoadingBar();
  try {
    return await download(model, { signal, onProgress: (loaded, total) => bar.show("download", loaded, total) });
  } finally {
    bar.stop();
  }
}

/** Loads `path`. Close the engine in the end: `await using` does. */
export async function loadEngine(path: string, options: CommonOptions, more: EngineOptions = {}): Promise<Engine> {
  const bar = new LoadingBar();
  try {
    return await Engine.load(path, {
      ...engineOptions(options),
      ...more,
      onProgress: ({ phase, loadedBytes, totalBytes }) => bar.show(phase, loadedBytes, totalBytes),
      onFallback: (reason) => note(`${reason instanceof Error ? reason.message : reason} Going on with the CPU.`),
    });
  } finally {
    bar.stop();
  }
}

/** The metadata as the engine would use it, for commands that need none. */
export function mendedMetadata(
  metadata: ReadonlyMap<string, GgufValue>,
  { strict }: CommonOptions,
): { metadata: Map<string, GgufValue>; repairs: Repair[] } {
  const mended = repairMetadata(metadata);
  const [first] = mended.repairs;
  if (!strict || first === undefined) return mended;
  throw new Error(`metadata key ${first.key}: expected a sound file with --strict, got one to mend (${first.problem})`);
}

export class LoadingBar {
  #bar: cliProgress.SingleBar | undefined;

  show(phase: string, loaded: number, total: number): void {
    if (!process.stderr.isTTY || total === 0) return;
    if (this.#bar === undefined) {
      this.#bar = new cliProgress.SingleBar({
        format: "{phase} [{bar}] {percentage} %  {value} of {total} MB",
        formatValue: (value, _, type) => (type === "percentage" ? String(value) : (value / 1e6).toFixed(1)),
        stream: process.stderr,
        clearOnComplete: true,
        hideCursor: true,
        gracefulExit: false, // Ctrl-C is handled by the commands, which stop the bar
      });
      this.#bar.start(total, loaded, { phase });
    }
    this.#bar.update(loaded, { phase });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
