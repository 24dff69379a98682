/**
 * The numbers of the GGUF format: value types of the metadata, and tensor types with their block sizes. Tables only.
 */
/** Metadata value types in the order of their ids. */
export const VALUE_TYPES = [
  "U8",
  "I8",
  "U16",
  "I16",
  "U32",
  "I32",
  "F32",
  "BOOL",
  "STRING",
  "ARRAY",
  "U64",
  "I64",
  "F64",
] as const;

export type GgufValueType = (typeof VALUE_TYPES)[number];

/** Arrays of numbers, by element type. */
export const NUMERIC_ARRAYS = {
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  U32: Uint32Array,
  I32: Int32Array,
  F32: Float32Array,
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
} as const;

/** Names of the types that a metadata array of numbers may have. */
export type NumericType = keyof typeof NUMERIC_ARRAYS;
/** Numbers of a metadata array, in the typed array of their type. */
export type NumericArray = InstanceType<(typeof NUMERIC_ARRAYS)[NumericType]>;

interface TypeLayout {
  /** the number that the file stores */
  readonly id: number;
  /** weights of one block; rows are whole blocks */
  readonly block: number;
  /** bytes of one block */
  readonly bytes: number;
  /** bytes after the last block of the tensor */
  readonly tail?: number;
}

/**
 * Tensor types of ggml. Ids 4, 5, 31 to 33, 37 and 38 were withdrawn. 36 is I2_S as the official BitNet converter writes
 * it (mainline ggml once used the number for a repacked IQ4_NL): four weights a byte, then one scale in 32 bytes.
 */
const LAYOUTS = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q4_1: { id: 3, block: 32, bytes: 20 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  Q8_1: { id: 9, block: 32, bytes: 36 },
  Q2_K: { id: 10, block: 256, bytes: 84 },
  Q3_K: { id: 11, block: 256, bytes: 110 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
  Q8_K: { id: 15, block: 256, bytes: 292 },
  IQ2_XXS: { id: 16, block: 256, bytes: 66 },
  IQ2_XS: { id: 17, block: 256, bytes: 74 },
  IQ3_XXS: { id: 18, block: 256, bytes: 98 },
  IQ1_S: { id: 19, block: 256, bytes: 50 },
  IQ4_NL: { id: 20, block: 32, bytes: 18 },
  IQ3_S: { id: 21, block: 256, bytes: 110 },
  IQ2_S: { id: 22, block: 256, bytes: 82 },
  IQ4_XS: { id: 23, block: 256, bytes: 136 },
  I8: { id: 24, block: 1, bytes: 1 },
  I16: { id: 25, block: 1, bytes: 2 },
  I32: { id: 26, block: 1, bytes: 4 },
  I64: { id: 27, block: 1, bytes: 8 },
  F64: { id: 28, block: 1, bytes: 8 },
  IQ1_M: { id: 29, block: 256, bytes: 56 },
  BF16: { id: 30, block: 1, bytes: 2 },
  TQ1_0: { id: 34, block: 256, bytes: 54 },
  TQ2_0: { id: 35, block: 256, bytes: 66 },
  I2_S: { id: 36, block: 4, bytes: 1, tail: 32 },
  MXFP4: { id: 39, block: 32, bytes: 17 },
  NVFP4: { id: 40, block: 64, bytes: 36 },
  Q1_0: { id: 41, block: 128, bytes: 18 },
  Q2_0: { id: 42, block: 64, bytes: 18 },
  PQ2_0: { id: 142, block: 128, bytes: 34 },
  // of files from before Q2_0 had its final form: only the offsets of the tensors tell
  Q2_0_128: { id: 42, block: 128, bytes: 34 },
} as const satisfies Record<string, TypeLayout>;

export type GgmlType = keyof typeof LAYOUTS;

const NAMES = new Map<number, GgmlType>(
  // of two with the same id the first counts
  (Object.keys(LAYOUTS) as GgmlType[]).reverse().map((name) => [LAYOUTS[name].id, name] as const),
);

export function ggmlLayout(type: GgmlType): TypeLayout {
  return LAYOUTS[type];
}

/** The type with this id, or undefined if the format defines none. */
export function ggmlTypeOf(id: number): GgmlType | undefined {
  return NAMES.get(id);
}

/** Bytes of a tensor of `elements` weights in whole blocks. */
export function ggmlByteLength(type: GgmlType, elements: number): number {
  const { block, bytes, tail = 0 }: TypeLayout = LAYOUTS[type];
  return (elements / block) * bytes + tail;
}
