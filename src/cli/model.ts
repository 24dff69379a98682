/**
 * `--model` → a file, and a file → a loaded engine, with progress on stderr.
 */
import {
  boxModel,
  download,
  Engine,
  type EngineOptions,
  type GgufValue,
  type Repair,
  repairMetadata,
} from "../index.js";
import { messageOf } from "./exit.js";
import { type EngineFlags, engineOptions, type ModelOptions } from "./options.js";
import { LoadingBar } from "./progress.js";
import { note } from "./streams.js";

/** The path of the model to use, by default of the one in the box; a URL is downloaded first. */
export async function modelFile({ model }: ModelOptions, signal?: AbortSignal): Promise<string> {
  if (model === undefined) return boxModel();
  const bar = new LoadingBar();
  try {
    return await download(model, { signal, onProgress: (loaded, total) => bar.show("download", loaded, total) });
  } finally {
    bar.stop();
  }
}

/** Loads `path`. Close the engine in the end: `await using` does. */
export async function loadEngine(path: string, options: EngineFlags, more: EngineOptions = {}): Promise<Engine> {
  const bar = new LoadingBar();
  try {
    return await Engine.load(path, {
      ...engineOptions(options),
      ...more,
      onProgress: ({ phase, loadedBytes, totalBytes }) => bar.show(phase, loadedBytes, totalBytes),
      onFallback: (reason) => note(`${messageOf(reason)} Going on with the CPU.`),
    });
  } finally {
    bar.stop();
  }
}

/** The metadata as the engine would use it, for commands that need none. */
export function mendedMetadata(
  metadata: ReadonlyMap<string, GgufValue>,
  { strict }: ModelOptions,
): { metadata: Map<string, GgufValue>; repairs: Repair[] } {
  const mended = repairMetadata(metadata);
  const [first] = mended.repairs;
  if (!strict || first === undefined) return mended;
  throw new Error(`metadata key ${first.key}: expected a sound file with --strict, got one to mend (${first.problem})`);
}
