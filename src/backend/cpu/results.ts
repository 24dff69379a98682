/** What `best` finds: for each ranked row and share a length, `count` ids, `count` logits. */
import type { Best } from "../backend.js";
import type { Words } from "../record.js";

/** Bytes of one share's result for one ranked row. */
export const resultBytes = (count: number) => Math.ceil((4 + 8 * count) / 64) * 64;

/** The best ids of one share; `length` of the arrays' `count` elements are filled. */
interface ShareBest {
  readonly ids: Int32Array;
  readonly values: Float32Array;
  readonly count: number;
  readonly length: number;
}

export function writeResult({ i32, f32 }: Words, address: number, { length, ids, values, count }: ShareBest): void {
  i32[address >>> 2] = length;
  i32.set(ids, (address >>> 2) + 1);
  f32.set(values, (address >>> 2) + 1 + count);
}

/** Joins the shares' results for one ranked row: the best `count`, ordered by id. */
export function joinResults({ i32, f32 }: Words, results: number, shares: number, count: number): Best {
  const all: { id: number; logit: number }[] = [];
  for (let part = 0; part < shares; part++) {
    const at = (results + part * resultBytes(count)) / 4;
    for (let i = 0; i < i32[at]; i++) all.push({ id: i32[at + 1 + i], logit: f32[at + 1 + count + i] });
  }
  const kept = all.sort((a, b) => b.logit - a.logit || a.id - b.id).slice(0, count);
  kept.sort((a, b) => a.id - b.id);
  return { ids: Int32Array.from(kept, ({ id }) => id), logits: Float32Array.from(kept, ({ logit }) => logit) };
}
