/** Ternary types of ggml: blocks of 256 codes with an f16 scale d after them. A weight is (code - 1) * d. */
import type { GgmlType } from "../gguf/types.js";
import { checkFinite } from "./finite.js";
import { halfToFloat } from "./float.js";
import { blocksOf, type TernaryFormat } from "./format.js";

/** `codeOf`: the code of weight `i` of the block that begins at byte `at`. */
export function blockwise(name: GgmlType, codeOf: (bytes: Uint8Array, at: number, i: number) => number): TernaryFormat {
  const { block: group, bytes: size, tail } = blocksOf(name);
  const scaleAt = size - 2;
  const layout = { name, block: group, bytes: size, tail };
  const float = { at: scaleAt, exponent: 0x7c00 };
  const check: TernaryFormat["check"] = (weight, blocks, from) =>
    checkFinite({ ...layout, float }, weight, blocks, from);
  return {
    kind: "ternary",
    ...layout,
    columns: group,
    floats: [float],
    check,
    decode(weight, bytes) {
      check(weight, bytes);
      const count = weight.rows * weight.columns;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const values = new Int8Array(count);
      for (let i = 0; i < count; i++) values[i] = codeOf(bytes, size * Math.floor(i / group), i % group) - 1;
      const scales = Float32Array.from({ length: count / group }, (_, block) =>
        halfToFloat(view.getUint16(size * block + scaleAt, true)),
      );
      return { values, scales, group };
    },
  };
}
