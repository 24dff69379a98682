/** WebGPU in Node.js: the package `webgpu` (Dawn), and the shaders that belong to this package. */
import { readFile } from "node:fs/promises";
import { TernionError } from "../errors.js";
import { installCommand, isMissing, packageFile } from "./package.js";

/**
 * The object that `create` returns. Dawn ends the process when it is collected while a device lives, so it is kept for
 * as long as the thread lives.
 */
const instances: GPU[] = [];

/**
 * Without quantisation timestamps are exact to the nanosecond and not to 65 microseconds. Subgroup matrices are an API that Dawn
 * calls unsafe. And the kernels, which are all our own, stay within their buffers: with Dawn's clamps around every access
 * subgroup matrices of an H200 take 2.7 times as long.
 */
const STANDING = [
  "disable-dawn-features=timestamp_quantization",
  "enable-dawn-features=allow_unsafe_apis,disable_robustness",
];

/** A `GpuHost` (backend/gpu/device/host.ts). */
export const webgpu = {
  async create(adapter?: string): Promise<GPU> {
    const { create, globals } = await importPackage();
    Object.assign(globalThis, globals);
    const gpu = create([...STANDING, ...(adapter === undefined ? [] : [`adapter=${adapter}`])]);
    instances.push(gpu);
    return gpu;
  },
  shader: (path: string): Promise<string> => readFile(packageFile(`wgsl/${path}`), "utf8"),
};

async function importPackage(): Promise<typeof import("webgpu")> {
  try {
    return await import("webgpu");
  } catch (cause) {
    const problem = isMissing(cause) ? "is not installed" : `cannot be loaded (${(cause as Error).message})`;
    throw new TernionError(
      "BACKEND_UNAVAILABLE",
      `GPU: the package webgpu ${problem}: run ${installCommand("webgpu")}; or use the CPU backend (--backend cpu).`,
      { cause },
    );
  }
}
