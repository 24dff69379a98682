/** The choice of one of a row's best ids. */
import type { Draw } from "../../backend.js";
import type { Call, Window } from "../device/kernel.js";
import { read, u32, written } from "./operands.js";

/** Words of one packed draw. */
export const DRAW_WORDS = 8;

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

/** ids[j], and sampled[slot of row outputs[j]], = one of the best of requested row j, as draw j says. */
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
