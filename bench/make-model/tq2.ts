/**
 * TQ2_0, ggml's ternary type: blocks of 256 weights in 66 bytes, 64 of codes and a F16 scale.
 *
 * In each half of 128 columns byte m (0..31) has column 32 n + m in bits 2n+1:2n; a code is the weight + 1. I2_S has the
 * same bytes with the four fields in the opposite order.
 */

/** weights of a block */
export const TQ2_WEIGHTS = 256;
/** bytes of a block */
export const TQ2_BYTES = 66;

/** The byte with its four fields in the opposite order. */
const MIRRORED = Uint8Array.from({ length: 256 }, (_, byte) => {
  return ((byte & 3) << 6) | ((byte & 12) << 2) | ((byte & 48) >> 2) | (byte >> 6);
});

/** I2_S codes of whole blocks of 256 → TQ2_0 blocks at the beginning of `out`. scale: bits of a F16. */
export function encodeTq2(codes: Uint8Array, scale: number, out: Uint8Array): Uint8Array {
  const codeBytes = TQ2_WEIGHTS / 4;
  const blocks = codes.length / codeBytes;
  for (let block = 0; block < blocks; block++) {
    const from = block * codeBytes;
    const to = block * TQ2_BYTES;
    for (let i = 0; i < codeBytes; i++) out[to + i] = MIRRORED[codes[from + i]];
    out[to + codeBytes] = scale & 0xff;
    out[to + codeBytes + 1] = scale >> 8;
  }
  return out.subarray(0, blocks * TQ2_BYTES);
}
