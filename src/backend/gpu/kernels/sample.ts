/** The choice of one of a row's best ids. */
import type { Batch, Draw } from "../../backend.js";
import type { Call, Window } from "../device/kernel.js";
import { read, u32, written } from "./operands.js";

/** Words of one packed draw. */
export const DRAW_WORDS = 8;

type Draws = readonly (Draw | undefined)[];

/** The draws of a batch as `best` and `sample` read them; their masks are numbered from 1 on. */
export function packDraws({ draws = [], slots, outputs }: Pick<Batch, "draws" | "slots" | "outputs">): Int32Array {
  const view = new DataView(new ArrayBuffer(draws.length * DRAW_WORDS * 4));
  const lastOf = new Map<number, number>(); // row by slot
  for (const [i, draw] of draws.entries()) if (draw !== undefined) lastOf.set(slots[outputs[i]], i);
  let masks = 0;
  for (const [i, draw] of draws.entries()) {
    const at = i * DRAW_WORDS * 4;
    view.setUint32(at + 24, draw === undefined ? 1 : 0, true);
    if (draw === undefined) continue;
    const { temperature, topK, topP, minP, random, mask } = draw;
    view.setFloat32(at, temperature, true);
    view.setUint32(at + 4, topK, true);
    view.setFloat32(at + 8, topP, true);
    view.setFloat32(at + 12, minP, true);
    view.setFloat32(at + 16, random, true);
    view.setUint32(at + 20, mask === undefined ? 0 : ++masks, true);
    view.setUint32(at + 28, lastOf.get(slots[outputs[i]]) === i ? 0 : 1, true);
  }
  return new Int32Array(view.buffer);
}

/** The masks of draws, in their order. */
export function packMasks(draws: Draws): Uint32Array {
  const masks = draws.flatMap((draw) => draw?.mask ?? []);
  const words = new Uint32Array(masks.reduce((sum, { length }) => sum + length, 0));
  masks.reduce((at, mask) => {
    words.set(mask, at);
    return at + mask.length;
  }, 0);
  return words;
}

/** ids[j], and sampled[slot of row outputs[j]], = one of the best of ranked row j, as draw j says; -1 where it has none. */
export function sample(
  a: { k: number; count: number } & Record<"best" | "draws" | "slots" | "outputs" | "sampled" | "ids", Window>,
): Call {
  const { k, count, best: found, draws, slots, outputs, sampled, ids } = a;
  return {
    kernel: {
      name: "sample",
      files: ["sample/sample"],
      entryPoint: "sample",
      constants: {},
      params: [u32("k")],
      bindings: [...["best", "draws", "slots", "outputs"].map(read), ...["sampled", "ids"].map(written)],
    },
    params: { k },
    bindings: { best: found, draws, slots, outputs, sampled, ids },
    grid: [count, 1, 1],
  };
}
