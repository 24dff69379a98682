/**
 * Ternary codes for float activations, each block with one f16 scale d before them: weight j in bits 2 (j mod 4) of byte
 * floor(j / 4), (code - 1) * d; code 3 is +2 d. Blocks have 64 weights in Q2_0 and 128 in PQ2_0. Files of 2025 have blocks of 128
 * under the number of Q2_0 too; gguf/parse.ts tells them apart.
 */
import type { GgmlType } from "../gguf/types.js";
import { halfToFloat } from "./float.js";
import { blocksOf, type DenseFormat, dense } from "./format.js";

function codes(name: GgmlType): DenseFormat {
  const { block, bytes: size } = blocksOf(name);
  return dense(name, [{ at: 0, exponent: 0x7c00 }], (bytes, count) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const at = size * Math.floor(i / block);
      const code = (bytes[at + 2 + Math.floor((i % block) / 4)] >> (2 * (i % 4))) & 3;
      out[i] = halfToFloat(view.getUint16(at, true)) * (code - 1);
    }
    return out;
  });
}

export const Q2_0 = codes("Q2_0");
export const Q2_0_128 = codes("Q2_0_128");
export const PQ2_0 = codes("PQ2_0");
