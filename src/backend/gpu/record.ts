/**
 * The record of a forward pass as 32-bit words: [op, number of arguments, arguments ...]. Two passes of the same shape
 * have the same words, so that the device's thread gets them once and keeps what it made of them.
 */
import type { Activation } from "../backend.js";

/** Arguments are handles but where the name says otherwise. */
export type Op =
  | { readonly op: "embed"; readonly out: number; readonly table: number }
  | NormQuantize
  | Ternary
  | { readonly op: "ropeStore"; cache: number; layer: number; q: number; k: number; v: number }
  | { readonly op: "attend"; readonly out: number; q: number; cache: number; layer: number }
  | Gate
  | { readonly op: "normOutputs"; out: number; x: number; weight: number; eps: number }
  | { readonly op: "logits"; out: number; table: number; x: number }
  | { readonly op: "best"; head: number; x: number; count: number }
  | { readonly op: "sample"; head: number }
  | { readonly op: "mark"; readonly tensor: number; readonly outputs: boolean };

export interface NormQuantize {
  readonly op: "normQuantize";
  readonly out: number;
  readonly x: number;
  readonly weight: number;
  readonly eps: number;
}

export interface Ternary {
  readonly op: "ternary";
  readonly x: number;
  readonly projections: readonly {
    readonly weight: number;
    readonly out: number;
    readonly addTo: number | undefined;
  }[];
}

export interface Gate {
  readonly op: "gate";
  readonly out: number;
  readonly gate: number;
  readonly up: number;
  readonly activation: Activation;
}

type OpName = Op["op"];

const NAMES: readonly OpName[] = [
  "embed",
  "normQuantize",
  "ternary",
  "ropeStore",
  "attend",
  "gate",
  "normOutputs",
  "logits",
  "best",
  "sample",
  "mark",
];

const NONE = -1;

function argumentsOf(op: Op): number[] {
  switch (op.op) {
    case "embed":
      return [op.out, op.table];
    case "normQuantize":
    case "normOutputs":
      return [op.out, op.x, op.weight, bitsOf(op.eps)];
    case "ternary":
      return [op.x, ...op.projections.flatMap(({ weight, out, addTo = NONE }) => [weight, out, addTo])];
    case "ropeStore":
      return [op.cache, op.layer, op.q, op.k, op.v];
    case "attend":
      return [op.out, op.q, op.cache, op.layer];
    case "gate":
      return [op.out, op.gate, op.up, op.activation === "silu" ? 1 : 0];
    case "logits":
      return [op.out, op.table, op.x];
    case "best":
      return [op.head, op.x, op.count];
    case "sample":
      return [op.head];
    case "mark":
      return [op.tensor, op.outputs ? 1 : 0];
  }
}

function opOf(name: OpName, [a, b, c, d, e]: Int32Array, all: Int32Array): Op {
  switch (name) {
    case "embed":
      return { op: name, out: a, table: b };
    case "normQuantize":
    case "normOutputs":
      return { op: name, out: a, x: b, weight: c, eps: floatOf(d) };
    case "ternary":
      return { op: name, x: a, projections: projectionsOf(all.subarray(1)) };
    case "ropeStore":
      return { op: name, cache: a, layer: b, q: c, k: d, v: e };
    case "attend":
      return { op: name, out: a, q: b, cache: c, layer: d };
    case "gate":
      return { op: name, out: a, gate: b, up: c, activation: d === 1 ? "silu" : "relu2" };
    case "logits":
      return { op: name, out: a, table: b, x: c };
    case "best":
      return { op: name, head: a, x: b, count: c };
    case "sample":
      return { op: name, head: a };
    case "mark":
      return { op: name, tensor: a, outputs: b === 1 };
  }
}

function projectionsOf(words: Int32Array): Ternary["projections"] {
  return Array.from({ length: words.length / 3 }, (_, i) => {
    const [weight, out, addTo] = words.subarray(3 * i);
    return { weight, out, addTo: addTo === NONE ? undefined : addTo };
  });
}

const bits = new DataView(new ArrayBuffer(4));

function bitsOf(value: number): number {
  bits.setFloat32(0, value);
  return bits.getInt32(0);
}

function floatOf(word: number): number {
  bits.setInt32(0, word);
  return bits.getFloat32(0);
}

export function encodeOp(op: Op): number[] {
  const args = argumentsOf(op);
  return [NAMES.indexOf(op.op), args.length, ...args];
}

export function decodeOps(words: Int32Array): Op[] {
  const ops: Op[] = [];
  for (let at = 0; at < words.length; at += 2 + words[at + 1]) {
    const args = words.subarray(at + 2, at + 2 + words[at + 1]);
    ops.push(opOf(NAMES[words[at]], args, args));
  }
  return ops;
}

/** Gives equal records equal numbers. */
export class Records {
  #known = new Map<number, { number: number; words: Int32Array }[]>();
  #count = 0;

  /** The number of a record, and whether it is a new one. */
  numberOf(words: readonly number[]): { number: number; fresh: Int32Array | undefined } {
    const hash = hashOf(words);
    const same = this.#known.get(hash) ?? [];
    const found = same.find((record) => equal(record.words, words));
    if (found !== undefined) return { number: found.number, fresh: undefined };
    const record = { number: this.#count++, words: Int32Array.from(words) };
    this.#known.set(hash, [...same, record]);
    return { number: record.number, fresh: record.words };
  }
}

/** FNV-1a over words. */
function hashOf(words: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
  return hash;
}

function equal(a: Int32Array, b: readonly number[]): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}
