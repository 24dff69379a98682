/** The models that are measured: the 2B-4T shape with random weights, made once into models/cache/. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir } from "node:fs/promises";
import type { FormatName } from "./make-model/shapes.js";
import { CACHE } from "./options.js";
import { ROOT } from "./results.js";

/** `given`, or the path of a made model, which is written first if it is not there. */
export async function modelPath(given: string | undefined, format: FormatName = "i2_s"): Promise<string> {
  if (given !== undefined) return given;
  const path = `${CACHE}2B-4T${format === "i2_s" ? "" : `-${format}`}.gguf`;
  if (await exists(path)) return path;
  await mkdir(CACHE, { recursive: true });
  const maker = spawn(process.execPath, [`${ROOT}dist/bench/make-model.js`, "--format", format, path], {
    stdio: "inherit",
  });
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
