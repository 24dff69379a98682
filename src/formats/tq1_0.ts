/**
 * TQ1_0, ggml's ternary type of 1.69 bits: bytes of five trits, most significant first. Of 256 weights trit n of byte m is
 * weight 32 n + m in the first 32 bytes, 160 + 16 n + m in the next 16, and in the last 4, of four trits, 240 + 4 n + m.
 */
import { blockwise } from "./blockwise.js";

export const TQ1_0 = blockwise("TQ1_0", (bytes, at, i) => {
  if (i < 160) return trit(bytes[at + (i % 32)], Math.floor(i / 32));
  if (i < 240) return trit(bytes[at + 32 + (i % 16)], Math.floor((i - 160) / 16));
  return trit(bytes[at + 48 + (i % 4)], Math.floor((i - 240) / 4));
});

const POWERS = [1, 3, 9, 27, 81];

/** A byte is ceil(v * 256 / 243) of the number v that its trits make. */
const trit = (byte: number, n: number) => (((byte * POWERS[n]) & 255) * 3) >> 8;
