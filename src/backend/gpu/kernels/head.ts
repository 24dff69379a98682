/** The best ids of rows of logits, and the choice of one of them. */
import type { Draw } from "../../backend.js";
import type { Call, Window } from "../device/kernel.js";

/** Entries of which one workgroup finds the best. */
const SEGMENT = 2048;
/** Words of one packed draw. */
export const DRAW_WORDS = 8;

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
  if (segments === 1) return [select(a, { ...first, out })];
  const entries = segments * k;
  return [
    select(a, { ...first, out: scratch }),
    select(a, { source: scratch, entries, segment: entries, stride: 2 * entries, candidates: true, out }),
  ];
}

function select(
  { k, count }: { k: number; count: number },
  p: { source: Window; out: Window; entries: number; segment: number; stride: number; candidates: boolean },
): Call {
  return {
    kernel: {
      name: `best (${[...(p.candidates ? ["merge"] : []), k === 1 ? "one" : p.segment].join(", ")})`,
      files: ["select-entries", ...(k === 1 ? ["reduce", "select-one"] : ["select"])],
      entryPoint: k === 1 ? "bestOne" : "best",
      constants: { CANDIDATES: p.candidates ? 1 : 0, HELD: p.segment <= SEGMENT ? p.segment : 1 },
      params: [
        { name: "entries", type: "u32" },
        { name: "segment", type: "u32" },
        { name: "k", type: "u32" },
        { name: "stride", type: "u32" },
      ],
      bindings: [
        { name: "source", access: "read" },
        { name: "out", access: "read_write" },
      ],
    },
    params: { entries: p.entries, segment: p.segment, k, stride: p.stride },
    bindings: { source: p.source, out: p.out },
    grid: [Math.ceil(p.entries / p.segment), count, 1],
  };
}

/** Draws as `sample` reads them. */
export function packDraws(draws: readonly Draw[]): Int32Array {
  const view = new DataView(new ArrayBuffer(draws.length * DRAW_WORDS * 4));
  draws.forEach(({ temperature, topK, topP, minP, random }, i) => {
    const at = i * DRAW_WORDS * 4;
    view.setFloat32(at, temperature, true);
    view.setUint32(at + 4, topK, true);
    view.setFloat32(at + 8, topP, true);
    view.setFloat32(at + 12, minP, true);
    view.setFloat32(at + 16, random, true);
  });
  return new Int32Array(view.buffer);
}

/** ids[j], and sampled[slot of row outputs[j]], = one of the best of wanted row j, as draw j says. */
export function sample(
  a: { k: number; count: number } & Record<"best" | "draws" | "slots" | "outputs" | "sampled" | "ids", Window>,
): Call {
  const { k, count, best: found, draws, slots, outputs, sampled, ids } = a;
  return {
    kernel: {
      name: "sample",
      files: ["sample"],
      entryPoint: "sample",
      constants: {},
      params: [{ name: "k", type: "u32" }],
      bindings: [
        { name: "best", access: "read" },
        { name: "draws", access: "read" },
        { name: "slots", access: "read" },
        { name: "outputs", access: "read" },
        { name: "sampled", access: "read_write" },
        { name: "ids", access: "read_write" },
      ],
    },
    params: { k },
    bindings: { best: found, draws, slots, outputs, sampled, ids },
    grid: [count, 1, 1],
  };
}
