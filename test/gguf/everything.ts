/** The contents of a small file with every value type, and tensors of types with and without blocks. */
import type { GgufArray } from "../../src/gguf/file.js";
import { type GgmlType, type GgufValueType, ggmlByteLength } from "../../src/gguf/types.js";
import type { GgufContents, GgufKeyValue, GgufTensorSource } from "../../src/gguf/write.js";

const scalars: GgufKeyValue[] = [
  { key: "u8", type: "U8", value: 255 },
  { key: "i8", type: "I8", value: -128 },
  { key: "u16", type: "U16", value: 65_535 },
  { key: "i16", type: "I16", value: -32_768 },
  { key: "u32", type: "U32", value: 4_294_967_295 },
  { key: "i32", type: "I32", value: -2_147_483_648 },
  { key: "f32", type: "F32", value: 0.5 },
  { key: "f64", type: "F64", value: 0.1 },
  { key: "u64", type: "U64", value: 2n ** 64n - 1n },
  { key: "i64", type: "I64", value: -(2n ** 63n) },
  { key: "small u64", type: "U64", value: 42 },
  { key: "bool", type: "BOOL", value: true },
  { key: "string", type: "STRING", value: "naïve 語 🙂" },
  { key: "empty", type: "STRING", value: "" },
];

const arrays: GgufArray[] = [
  { type: "U8", values: Uint8Array.of(0, 255) },
  { type: "I8", values: Int8Array.of(-1, 1) },
  { type: "U16", values: Uint16Array.of(65_535) },
  { type: "I16", values: Int16Array.of(-5) },
  { type: "U32", values: Uint32Array.of(7, 8) },
  { type: "I32", values: Int32Array.of(-7) },
  { type: "F32", values: Float32Array.of(0.25, -1) },
  { type: "F64", values: Float64Array.of(0.1) },
  { type: "U64", values: BigUint64Array.of(3n) },
  { type: "I64", values: BigInt64Array.of(-3n) },
  { type: "BOOL", values: [true, false] },
  { type: "STRING", values: ["a", "", "Ġ語"] },
  { type: "STRING", values: [] },
];

/** A tensor whose bytes count up from `first`, in two chunks. */
export function counting(name: string, type: GgmlType, dims: readonly number[], first = 0): GgufTensorSource {
  const bytes = new Uint8Array(
    ggmlByteLength(
      type,
      dims.reduce((a, b) => a * b),
    ),
  ).map((_, i) => first + i);
  return { name, type, dims, data: () => [bytes.subarray(0, 5), bytes.subarray(5)] };
}

export const everything: GgufContents = {
  metadata: [
    ...scalars,
    ...arrays.map((value, i): GgufKeyValue => ({ key: `array ${i}`, type: "ARRAY" satisfies GgufValueType, value })),
    { key: "general.alignment", type: "U32", value: 64 },
  ],
  tensors: [
    counting("f32", "F32", [3], 1),
    counting("f16", "F16", [5, 3], 2),
    counting("bf16", "BF16", [2, 2, 2], 3),
    counting("q8_0", "Q8_0", [64, 2], 4),
    counting("q6_k", "Q6_K", [256], 5),
    counting("tq2_0", "TQ2_0", [512, 1, 1, 2], 6),
  ],
};
