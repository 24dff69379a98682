/**
 * The record of a forward pass in 32-bit words: for each op a header, then its arguments (see ../record.ts). Two passes of the
 * same shape have the same words, so that the device's thread gets them once and keeps what it made of them.
 */
import type { Activation, MarkRows } from "../backend.js";
import { Layout, List, type Struct, type Values, type Words } from "../record.js";

/** In place of a handle. */
export const NONE = -1;

const NORM = { out: "handle", x: "handle", weight: "handle", eps: "float" } as const;

const PROJECTIONS = {
  x: "handle",
  projections: new List({ weight: "handle", out: "handle", /** or NONE */ addTo: "handle" }),
} as const;

const STRUCTS = {
  embed: { out: "handle", table: "handle" },
  normQuantize: NORM,
  quantize: { out: "handle", x: "handle" },
  ternary: PROJECTIONS,
  linear: PROJECTIONS,
  normHeads: { x: "handle", weight: "handle", eps: "float" },
  ropeStore: { cache: "handle", layer: "count", q: "handle", k: "handle", v: "handle" },
  attend: { out: "handle", q: "handle", cache: "handle", layer: "count" },
  gate: {
    out: "handle",
    gate: "handle",
    up: "handle",
    activation: ["relu2", "silu"] as const satisfies readonly Activation[],
  },
  normOutputs: NORM,
  logits: { out: "handle", table: "handle", x: "handle" },
  best: { head: "handle", x: "handle", count: "count", /** by row */ masked: "flag" },
  sample: { head: "handle" },
  mark: { tensor: "handle", rows: ["all", "outputs", "whole"] as const satisfies readonly MarkRows[] },
} as const satisfies Record<string, Struct>;

type OpName = keyof typeof STRUCTS;
type OpOf<N extends OpName> = { readonly op: N } & Values<(typeof STRUCTS)[N]>;

export type Op = { [N in OpName]: OpOf<N> }[OpName];
export type NormQuantize = OpOf<"normQuantize">;
export type Ternary = OpOf<"ternary">;
export type Linear = OpOf<"linear">;
export type RopeStore = OpOf<"ropeStore">;
export type Attend = OpOf<"attend">;
export type Gate = OpOf<"gate">;

/** `words` of the arguments, which follow. */
const HEADER = new Layout({ op: Object.keys(STRUCTS) as OpName[], words: "count" });

const ARGUMENTS = Object.fromEntries(
  Object.entries(STRUCTS).map(([op, struct]) => [op, new Layout<Struct>(struct)]),
) as Readonly<Record<OpName, Layout<Struct>>>;

const viewsOf = (i32: Int32Array): Words => ({
  i32,
  f32: new Float32Array(i32.buffer, i32.byteOffset, i32.length),
});

/** The ops of a forward pass, as they are recorded. */
export class Recorder {
  #words = viewsOf(new Int32Array(1 << 12));
  #length = 0;

  add(op: Op): void {
    const layout = ARGUMENTS[op.op];
    const words = layout.wordsOf(op);
    const begin = this.#length + HEADER.words;
    this.#length = begin + words;
    while (this.#words.i32.length < this.#length) this.#grow();
    HEADER.write({ op: op.op, words }, this.#words, begin - HEADER.words);
    layout.write(op, this.#words, begin);
  }

  /** The words of all ops since the last call; they are valid until the next `add`. */
  take(): Int32Array {
    const all = this.#words.i32.subarray(0, this.#length);
    this.#length = 0;
    return all;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.i32.length);
    words.set(this.#words.i32);
    this.#words = viewsOf(words);
  }
}

export function decodeOps(words: Int32Array): Op[] {
  const from = viewsOf(words);
  const ops: Op[] = [];
  for (let at = 0; at < words.length; ) {
    const { op, words: count } = HEADER.read(from, at);
    ops.push({ op, ...ARGUMENTS[op].read(from, at + HEADER.words) } as Op);
    at += HEADER.words + count;
  }
  return ops;
}

/** Gives equal records equal numbers. */
export class Records {
  #known = new Map<number, { number: number; words: Int32Array }[]>();
  #count = 0;

  /** The number of a record, and whether it is a new one. */
  numberOf(words: Int32Array): { number: number; fresh: Int32Array | undefined } {
    const hash = hashOf(words);
    const same = this.#known.get(hash) ?? [];
    const found = same.find((record) => equal(record.words, words));
    if (found !== undefined) return { number: found.number, fresh: undefined };
    const record = { number: this.#count++, words: words.slice() };
    this.#known.set(hash, [...same, record]);
    return { number: record.number, fresh: record.words };
  }
}

/** FNV-1a over words. */
function hashOf(words: Int32Array): number {
  let hash = 0x811c9dc5;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
  return hash;
}

function equal(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}
