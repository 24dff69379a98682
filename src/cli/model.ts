/**
 * `--model` → a file, and a file → a loaded engine, with progress on stderr.
 */
import { boxModel, download, Engine, type EngineOptions } from "../index.js";
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
