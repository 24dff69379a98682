/** What a GGUF file holds, as data. Nouns only: how they are read and written is in the files beside this one. */
import type { ByteSource } from "../backend/backend.js";
import type { GgmlType, GgufValueType, NumericArray } from "./types.js";

/** 64-bit integers are numbers when they are safe integers, else bigints. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** A metadata value that is an array. */
export interface GgufArray {
  /** of the elements */
  readonly type: GgufValueType;
  /** numbers as a typed array of that type (U64 and I64: of bigints); strings are made at the first access */
  readonly values: NumericArray | readonly string[] | readonly boolean[];
}

/** An entry of the tensor table: what it is, and where its bytes are. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** innermost first, as in the file: a projection of K inputs to N outputs is [K, N], N rows of K weights */
  readonly dims: readonly number[];
  /** bytes from the start of the file */
  readonly offset: number;
  readonly byteLength: number;
  /** in a split model, the part that holds it: an index into `parts` of the file */
  readonly part?: number;
}

/** A model split into parts is as one file: its name, alignment and dataOffset are those of the first part. */
export interface GgufFile {
  /** of what was read: the path of a file */
  readonly name: string;
  /** names of all parts in their order, where there are several */
  readonly parts?: readonly string[];
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** in the order of the file's table */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly alignment: number;
  /** where tensor data begins, bytes from the start of the file */
  readonly dataOffset: number;
  /** bytes of the file, or of all its parts */
  readonly byteLength: number;
}

/** What the reader gives: enough to write the same head again. */
export interface GgufHead extends GgufFile {
  /** the stored type of each metadata value, which a JavaScript number does not keep */
  readonly valueTypes: ReadonlyMap<string, GgufValueType>;
}

/** A model whose bytes can be read. */
export interface OpenGguf extends GgufHead {
  /** of each part; of one alone where there are none */
  readonly bytes: readonly ByteSource[];
}
