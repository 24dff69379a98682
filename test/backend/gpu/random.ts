/** Seeded test data of the kernels. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/** Ternary weights. */
export function ternaries(count: number, random: () => number): Int8Array {
  return Int8Array.from({ length: count }, () => (random() % 3) - 1);
}

/** Codes in the order of an I2_S tensor: value 32 j + b of a block of 128 in bits 7 - 2j, 6 - 2j of byte b. */
export function pack(weights: Int8Array): Uint8Array {
  const bytes = new Uint8Array(weights.length / 4);
  weights.forEach((weight, i) => {
    const inBlock = i % 128;
    bytes[32 * Math.floor(i / 128) + (inBlock % 32)] |= (weight + 1) << (6 - 2 * Math.floor(inBlock / 32));
  });
  return bytes;
}
