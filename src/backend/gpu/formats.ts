/** Which types of weights the GPU takes, and what they are on the device. */
import type { TypesByUse } from "../backend.js";
import type { Dense } from "./kernels/operands.js";

/** The kernels read three types of float; of other types the values are written as float32. */
const ON_DEVICE: Readonly<Record<string, Dense["type"]>> = {
  F16: "F16",
  BF16: "BF16",
  F32: "F32",
  Q8_0: "F32",
  Q6_K: "F32",
};

export const deviceType = (type: string): Dense["type"] => ON_DEVICE[type];

export const TAKES: TypesByUse = { norm: ["F32"], table: Object.keys(ON_DEVICE), matrix: ["I2_S"] };
