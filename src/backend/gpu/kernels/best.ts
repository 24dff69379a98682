/** The best ids of rows of logits. */
import type { Call, Window } from "../device/kernel.js";
import { read, u32, written } from "./operands.js";

/** Entries of which one workgroup finds the best. */
const SEGMENT = 2048;

/** Where the rows' draws name their masks (see sample.ts), and the masks. */
export interface Masked {
  readonly draws: Window;
  readonly masks: Window;
}

/** Bytes of `scratch` that `best` needs. */
export function bestScratchBytes({ vocabulary, count, k }: { vocabulary: number; count: number; k: number }): number {
  return count * Math.ceil(vocabulary / SEGMENT) * k * 8;
}

/**
 * For each of `count` rows the k best of the ids that its mask allows, ascending, then their logits: 2k words a row. Of equal
 * logits the lower id is the better; k is at most the vocabulary and at most 256. Where a mask leaves fewer, ids of -1 stand
 * among them.
 */
export function best(a: {
  logits: Window;
  vocabulary: number;
  count: number;
  k: number;
  scratch: Window;
  out: Window;
  /** absent where no row has a mask */
  masked?: Masked | undefined;
}): Call[] {
  const { logits, vocabulary, k, scratch, out, masked } = a;
  const segments = Math.ceil(vocabulary / SEGMENT);
  const first = { source: logits, entries: vocabulary, segment: SEGMENT, stride: vocabulary, candidates: false };
  if (segments === 1) return [bestOf(a, { ...first, out, masked })];
  const entries = segments * k;
  return [
    bestOf(a, { ...first, out: scratch, masked }),
    bestOf(a, { source: scratch, entries, segment: entries, stride: 2 * entries, candidates: true, out }),
  ];
}

interface Entries {
  readonly source: Window;
  readonly out: Window;
  /** of a row, and of a workgroup */
  readonly entries: number;
  readonly segment: number;
  readonly stride: number;
  readonly candidates: boolean;
  readonly masked?: Masked | undefined;
}

function bestOf({ k, count }: { k: number; count: number }, p: Entries): Call {
  const form = [...(p.candidates ? ["merge"] : []), k === 1 ? "one" : p.segment, ...(p.masked ? ["masked"] : [])];
  return {
    kernel: {
      name: `best (${form.join(", ")})`,
      files: [
        "best/entries",
        p.masked ? "best/masked" : "best/unmasked",
        ...(k === 1 ? ["shared/reduce", "best/one"] : ["best/best"]),
      ],
      entryPoint: k === 1 ? "bestOne" : "best",
      constants: { CANDIDATES: p.candidates ? 1 : 0, HELD: p.segment <= SEGMENT ? p.segment : 1 },
      params: ["entries", "segment", "k", "stride"].map(u32),
      bindings: [read("source"), written("out"), ...(p.masked ? [read("draws"), read("masks")] : [])],
    },
    params: { entries: p.entries, segment: p.segment, k, stride: p.stride },
    bindings: { source: p.source, out: p.out, ...p.masked },
    grid: [Math.ceil(p.entries / p.segment), count, 1],
  };
}
