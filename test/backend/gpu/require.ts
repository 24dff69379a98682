/**
 * Whether this machine has an adapter for the GPU tests. With TERNION_REQUIRE_GPU=1 its absence is a failure, with
 * TERNION_REQUIRE_HARDWARE=1 that of a hardware adapter.
 */
import { listAdapters } from "../../../src/backend/gpu/device/adapter.js";
import { webgpu } from "../../../src/platform/webgpu.js";

const hardware = process.env.TERNION_REQUIRE_HARDWARE === "1";
const required = hardware || process.env.TERNION_REQUIRE_GPU === "1";
const adapters = await listAdapters(webgpu).catch((error: unknown) => {
  if (required) throw error;
  return [];
});
if (required && adapters.length === 0) throw new Error("TERNION_REQUIRE_GPU=1, but WebGPU finds no adapter");
if (hardware && adapters.every(({ kind }) => kind === "software")) {
  throw new Error(`TERNION_REQUIRE_HARDWARE=1, but WebGPU finds only ${adapters.map(({ name }) => name).join(", ")}`);
}

/** Why GPU tests are skipped here; false where they run. */
export const NO_ADAPTER: string | false =
  adapters.length === 0 && "no GPU adapter: see docs/gpu.md for software drivers";
