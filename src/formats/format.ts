/**
 * What a weight type is: how its bytes lie, which of them are damaged, and what they mean. A type is one file here and one
 * line of table.ts. All of it is pure, bytes in and values out: files are read elsewhere. Decoders are the obviously right
 * loops: the reference backend computes with them, and the tests take them as oracle. Layouts are those of ggml (block
 * structs in ggml-common.h) and, for the ternary type of the official converter, of docs/model.md.
 *
 * The sizes of blocks stand in gguf/types.ts, which knows all types of ggml; nothing here repeats them.
 */
import type { TernaryLayout, Weight, WeightSource } from "../backend/backend.js";
import type { ScaledIntegers } from "../backend/formulas.js";
import { type GgmlType, ggmlLayout } from "../gguf/types.js";
import { type Blocks, checkFinite, type FloatPlace } from "./finite.js";

/** A weight as a file holds it. */
export type Stored = Weight & Pick<WeightSource, "layout">;

interface Layout extends Blocks {
  /** bytes after the last block */
  readonly tail: number;
  /** the floats of a block, each of which must be finite; the first is the scale, or the weight itself */
  readonly floats: readonly FloatPlace[];
  /** the columns of a weight are a multiple of this */
  readonly columns: number;
  /** Refuses damaged bytes: whole blocks of the weight, in the standard order, from its byte `from` on. */
  check(weight: Weight, blocks: Uint8Array, from?: number): void;
}

/** Weights for float activations. */
export interface DenseFormat extends Layout {
  readonly kind: "dense";
  /** The first `count` values of whole blocks. */
  decode(blocks: Uint8Array, count: number): Float32Array;
}

/** Weights of a BitLinear, whose activations are rounded to int8. */
export interface TernaryFormat extends Layout {
  readonly kind: "ternary";
  /** orders of the codes in files that do not say which they have; backends compute with the first */
  readonly layouts?: readonly TernaryLayout[];
  /** The whole weight, checked; `bytes` stay as they are. */
  decode(weight: Stored, bytes: Uint8Array): Ternary;
}

export type Format = DenseFormat | TernaryFormat;

/** (rows, columns) codes minus 1: -1, 0 or +1, with their scales. */
export type Ternary = ScaledIntegers;

/** The sizes of a type's blocks. */
export function blocksOf(name: GgmlType): Pick<Layout, "name" | "block" | "bytes" | "tail"> {
  const { block, bytes, tail = 0 } = ggmlLayout(name);
  return { name, block, bytes, tail };
}

export function dense(name: GgmlType, floats: readonly FloatPlace[], decode: DenseFormat["decode"]): DenseFormat {
  const blocks = blocksOf(name);
  const check: DenseFormat["check"] = (weight, bytes, from) => {
    for (const float of floats) checkFinite({ ...blocks, float }, weight, bytes, from);
  };
  return { kind: "dense", ...blocks, floats, columns: blocks.block, check, decode };
}

/** Bytes of a row. */
export const rowBytes = ({ block, bytes }: Blocks, columns: number) => (columns / block) * bytes;
