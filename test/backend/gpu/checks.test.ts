/** The kernels of the families beside bitnet-b1.58: dense matrices, heads, rounding, pairs, and scales of blocks. */
import { CHECKS } from "./checks.js";
import { type KernelTestOptions, kernelTest } from "./harness.js";

/** A row with rotary embedding binds 14 buffers. */
const OPTIONS: Readonly<Record<string, KernelTestOptions>> = {
  quantize: { forms: ["subgroups"] },
  "a row in one dispatch": { buffers: 14 },
  "dense F16": { forms: ["f16"] },
};

for (const [name, check] of Object.entries(CHECKS)) kernelTest(name, check, OPTIONS[name]);
