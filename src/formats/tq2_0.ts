/**
 * TQ2_0, ggml's ternary type: blocks of 256 weights in 64 bytes of 2-bit codes and then one f16 scale d. In each half
 * of 128 weights byte m (0 to 31) holds weights m, 32 + m, 64 + m and 96 + m from the lowest bits up. A weight is
 * (code - 1) * d; ggml's code 3, which its own writer never makes, is +2 d, and so it is here.
 */
import { checkFinite } from "./finite.js";
import { halfToFloat } from "./float.js";
import { blocksOf, type TernaryFormat } from "./format.js";

const BLOCKS = { ...blocksOf("TQ2_0"), float: { at: 64, exponent: 0x7c00 } };

export const TQ2_0: TernaryFormat = {
  kind: "ternary",
  ...BLOCKS,
  columns: BLOCKS.block,
  check: (weight, blocks, from) => checkFinite(BLOCKS, weight, blocks, from),
  decode(weight, bytes) {
    TQ2_0.check(weight, bytes);
    const { block: group, bytes: size, float } = BLOCKS;
    const count = weight.rows * weight.columns;
    const values = Int8Array.from(
      { length: count },
      (_, i) => codeOf(bytes, size * Math.floor(i / group), i % group) - 1,
    );
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const scaleOf = (block: number) => halfToFloat(view.getUint16(size * block + float.at, true));
    return { values, scales: Float32Array.from({ length: count / group }, (_, block) => scaleOf(block)), group };
  },
};

/** The code of weight `i` of the block that begins at byte `block`. */
function codeOf(bytes: Uint8Array, block: number, i: number): number {
  const byte = bytes[block + 32 * Math.floor(i / 128) + (i % 32)];
  return (byte >> (2 * Math.floor((i % 128) / 32))) & 3;
}
