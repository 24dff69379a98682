/**
 * How each dense type lies on the device: as in the file, or as small integers with their scales apart, so that rows begin at
 * multiples of 4 bytes. Nothing is rounded: what the kernels make of it is the float32 that the decoders of formats/ give.
 */

import { halfToFloat } from "../../formats/float.js";
import { scalesOf } from "../../formats/q4_k.js";
import { KNOWN_TYPES } from "../../formats/table.js";
import type { TypesByUse, WeightType } from "../backend.js";
import type { DenseForm } from "./kernels/operands.js";

/** Values, and scales in the order of the weights. */
export interface Packed {
  readonly values: Uint8Array;
  readonly scales?: Uint8Array;
}

export interface DeviceForm extends DenseForm {
  /** bits of a weight, without its scale */
  readonly bits: number;
  /** bytes of what a group has beside its values */
  readonly groupBytes: number;
  /** Whole blocks, as the file has them; an even number of rows, or the last ones. */
  pack(blocks: Uint8Array): Packed;
}

const asTheyAre = (type: "F32" | "F16" | "BF16", bits: number): DeviceForm => {
  return { type, bits, groupBytes: 0, pack: (values) => ({ values }) };
};

/** One 16-bit scale before the codes of each block, which become `valueBytes` bytes. */
function scaleFirst(
  form: DenseForm & { readonly group: number },
  { size, valueBytes }: { size: number; valueBytes: number },
  codes: (from: Uint8Array, to: Uint8Array) => void,
): DeviceForm {
  const pack = (blocks: Uint8Array): Packed => {
    const count = blocks.length / size;
    const values = new Uint8Array(valueBytes * count);
    const scales = new Uint8Array(2 * count);
    for (let i = 0; i < count; i++) {
      const at = size * i;
      scales[2 * i] = blocks[at];
      scales[2 * i + 1] = blocks[at + 1];
      codes(blocks.subarray(at + 2, at + size), values.subarray(valueBytes * i, valueBytes * (i + 1)));
    }
    return { values, scales };
  };
  return { ...form, scales: "half", bits: (8 * valueBytes) / form.group, groupBytes: 2, pack };
}

const copied = (from: Uint8Array, to: Uint8Array) => to.set(from);
const twoBits = (group: number) =>
  scaleFirst({ type: "Q2", group }, { size: 2 + group / 4, valueBytes: group / 4 }, copied);

/** Weights 0 to 15 in the low nibbles, 16 to 31 in the high ones. */
function nibblesLess8(from: Uint8Array, to: Uint8Array): void {
  for (let i = 0; i < 16; i++) {
    to[i] = (from[i] & 15) - 8;
    to[16 + i] = (from[i] >> 4) - 8;
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** d * scale has 18 bits and q 5, so that their product is a float32 exactly. Layout: formats/q6_k.ts. */
function packQ6K(blocks: Uint8Array): Packed {
  const view = viewOf(blocks);
  const count = blocks.length / 210;
  const [values, scales] = [new Uint8Array(256 * count), new Float32Array(16 * count)];
  for (let block = 0; block < count; block++) {
    const at = 210 * block;
    const d = halfToFloat(view.getUint16(at + 208, true));
    for (let i = 0; i < 16; i++) scales[16 * block + i] = d * view.getInt8(at + 192 + i);
    for (let i = 0; i < 256; i++) {
      const [half, n] = [i >> 7, i & 127];
      const low = (blocks[at + 64 * half + (n & 63)] >> (n < 64 ? 0 : 4)) & 15;
      const high = (blocks[at + 128 + 32 * half + (n & 31)] >> (2 * (n >> 5))) & 3;
      values[256 * block + i] = (low | (high << 4)) - 32;
    }
  }
  return { values, scales: new Uint8Array(scales.buffer) };
}

/** d * scale * q has 21 bits and dmin * minimum 17: only their difference is rounded, as in the decoder. Layout: formats/q4_k.ts. */
function packQ4K(blocks: Uint8Array): Packed {
  const view = viewOf(blocks);
  const count = blocks.length / 144;
  const [values, scales] = [new Uint8Array(256 * count), new Float32Array(16 * count)];
  for (let block = 0; block < count; block++) {
    const at = 144 * block;
    const [d, dmin] = [0, 2].map((byte) => halfToFloat(view.getUint16(at + byte, true)));
    for (let group = 0; group < 8; group++) {
      const { scale, minimum } = scalesOf(blocks, at + 4, group);
      scales[16 * block + 2 * group] = d * scale;
      scales[16 * block + 2 * group + 1] = dmin * minimum;
    }
    for (let i = 0; i < 256; i++) {
      const byte = blocks[at + 16 + 32 * (i >> 6) + (i & 31)];
      values[256 * block + i] = (i & 32) === 0 ? byte & 15 : byte >> 4;
    }
  }
  return { values, scales: new Uint8Array(scales.buffer) };
}

const FORMS: Readonly<Record<WeightType, DeviceForm>> = {
  F32: asTheyAre("F32", 32),
  F16: asTheyAre("F16", 16),
  BF16: asTheyAre("BF16", 16),
  Q8_0: scaleFirst({ type: "Q8", group: 32 }, { size: 34, valueBytes: 32 }, copied),
  Q4_0: scaleFirst({ type: "Q8", group: 32 }, { size: 18, valueBytes: 32 }, nibblesLess8),
  Q6_K: { type: "Q8", group: 16, scales: "float", bits: 8, groupBytes: 4, pack: packQ6K },
  Q4_K: { type: "Q8", group: 32, scales: "float and minimum", bits: 8, groupBytes: 8, pack: packQ4K },
  Q2_0: twoBits(64),
  Q2_0_128: twoBits(128),
  PQ2_0: twoBits(128),
};

export function deviceForm(type: WeightType): DeviceForm {
  const form = FORMS[type];
  if (form === undefined) throw new TypeError(`weight type: expected ${Object.keys(FORMS).join(", ")}, got ${type}`);
  return form;
}

export const TAKES: TypesByUse = KNOWN_TYPES;
