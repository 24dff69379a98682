/**
 * `--model` → a file, and a file → a loaded engine, with progress on stderr.
 */
import { boxModel, download, Engine, type EngineOptions } from "../index.js";
import { messageOf } from "./exit.js";
import { type EngineFlags, engineOptions, type ModelOptions } from "./options.js";
import { withBar } from "./progress.js";
import { note } from "./streams.js";

/** The path of the model to use, by default of the one in the box; a URL is downloaded first. */
export async function modelFile({ model }: ModelOptions, signal?: AbortSignal): Promise<string> {
  if (model === undefined) return boxModel();
  return withBar((show) => {
    return download(model, { signal, onProgress: (loaded, total) => show("download", loaded, total) });
  });
}

/** Loads `path`. Close the engine in the end: `await using` does. */
export function loadEngine(path: string, options: EngineFlags, more: EngineOptions = {}): Promise<Engine> {
  return withBar((show) => {
    return Engine.load(path, {
      ...engineOptions(options),
      ...more,
      onProgress: ({ phase, loadedBytes, totalBytes }) => show(phase, loadedBytes, totalBytes),
      onFallback: (reason) => note(`${messageOf(reason)} Going on with the CPU.`),
    });
  });
}
