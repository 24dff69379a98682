/**
 * TQ2_0, ggml's ternary type of 2-bit codes: 64 bytes for 256 weights. In each half of 128 weights byte m (0 to 31) holds
 * weights m, 32 + m, 64 + m and 96 + m from the lowest bits up. Code 3, which ggml's own writer never makes, is +2 d.
 */
import { blockwise } from "./blockwise.js";

export const TQ2_0 = blockwise("TQ2_0", (bytes, at, i) => {
  const byte = bytes[at + 32 * Math.floor(i / 128) + (i % 32)];
  return (byte >> (2 * Math.floor((i % 128) / 32))) & 3;
});
