/** The best ids of rows of logits. */
import type { Call, Window } from "../device/kernel.js";
import { read, u32, written } from "./operands.js";

/** Entries of which one workgroup finds the best. */
const SEGMENT = 2048;

/** Bytes of `scratch` that `best` needs. */
export function bestScratchBytes({ vocabulary, count, k }: { vocabulary: number; count: number; k: number }): number {
  return count * Math.ceil(vocabulary / SEGMENT) * k * 8;
}

/**
 * For each of `count` rows the k best ids, ascending, then their logits: 2k words a row. Of equal logits the lower id is
 * the better; k is at most the vocabulary and at most 256.
 */
export function best(a: {
  logits: Window;
  vocabulary: number;
  count: number;
  k: number;
  scratch: Window;
  out: Window;
}): Call[] {
  const { logits, vocabulary, k, scratch, out } = a;
  const segments = Math.ceil(vocabulary / SEGMENT);
  const first = { source: logits, entries: vocabulary, segment: SEGMENT, stride: vocabulary, candidates: false };
  if (segments === 1) return [bestOf(a, { ...first, out })];
  const entries = segments * k;
  return [
    bestOf(a, { ...first, out: scratch }),
    bestOf(a, { source: scratch, entries, segment: entries, stride: 2 * entries, candidates: true, out }),
  ];
}

function bestOf(
  { k, count }: { k: number; count: number },
  p: { source: Window; out: Window; entries: number; segment: number; stride: number; candidates: boolean },
): Call {
  return {
    kernel: {
      name: `best (${[...(p.candidates ? ["merge"] : []), k === 1 ? "one" : p.segment].join(", ")})`,
      files: ["best/entries", ...(k === 1 ? ["shared/reduce", "best/one"] : ["best/best"])],
      entryPoint: k === 1 ? "bestOne" : "best",
      constants: { CANDIDATES: p.candidates ? 1 : 0, HELD: p.segment <= SEGMENT ? p.segment : 1 },
      params: ["entries", "segment", "k", "stride"].map(u32),
      bindings: [read("source"), written("out")],
    },
    params: { entries: p.entries, segment: p.segment, k, stride: p.stride },
    bindings: { source: p.source, out: p.out },
    grid: [Math.ceil(p.entries / p.segment), count, 1],
  };
}
