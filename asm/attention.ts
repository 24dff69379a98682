// Rotary embedding, the key-value cache, and attention of one query row over a chunk of positions.
//
// Plain loop, for one head:
//   s[p] = q . k[p] / sqrt(headDim);  w = exp(s - max s);  out = sum over p of w[p] v[p] / sum w
//
// What the fast version adds:
// 1. Keys lie in blocks of 8 positions, (position / 8, headDim, 8): 8 scores grow side by side in two vectors, without
//    sums across lanes. Values lie as (position / CHUNK, headDim / 8, CHUNK, 8): the mix of 8 elements reads straight
//    through, and a chunk is one piece of memory (with all positions in the place of CHUNK, its 16 pieces lay on pages of
//    their own).
// 2. Four query heads that share a key-value head go together, so that a key or value is read once for the four.
// 3. Positions go in chunks of at most CHUNK, whose (max, sum of w, sum of w v) `fold` adds up in the order of the
//    chunks. Chunks begin at multiples of CHUNK: the arithmetic depends on the position alone, so it does not matter
//    which thread takes which chunk, nor when they are folded.
//
// Preconditions: headDim a multiple of 8; what follows a chunk's last position in its block is readable.

import { expNegative, maxLane } from "./reduce";

export const CHUNK: usize = 128; // positions
export const CHUNK_ROW: usize = CHUNK << 2; // bytes of one head's scores
export const PARTIAL_HEADER: usize = 4; // floats of a partial result before the mix
export const PARTIAL_MIX: usize = PARTIAL_HEADER << 2; // bytes before it

/** Rotates pairs (i, i + headDim / 2) of each head in place; table: headDim / 2 cosines, then as many sines. */
export function rope(x: usize, table: usize, heads: i32, headDim: i32): void {
  const half = <usize>headDim << 1;
  for (let h = 0; h < heads; h++, x += half << 1) {
    for (let i: usize = 0; i < half; i += 16) {
      const a = v128.load(x + i), b = v128.load(x + half + i);
      const c = v128.load(table + i), s = v128.load(table + half + i);
      v128.store(x + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
      v128.store(x + half + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
    }
  }
}

/** The same for pairs (2i, 2i + 1). */
export function ropeAdjacent(x: usize, table: usize, heads: i32, headDim: i32): void {
  const half = <usize>headDim << 1;
  for (let h = 0; h < heads; h++) {
    for (let i: usize = 0; i < half; i += 16, x += 32) {
      const u = v128.load(x), v = v128.load(x, 16);
      const a = v128.shuffle<i32>(u, v, 0, 2, 4, 6), b = v128.shuffle<i32>(u, v, 1, 3, 5, 7);
      const c = v128.load(table + i), s = v128.load(table + half + i);
      const first = f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)), second = f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s));
      v128.store(x, v128.shuffle<i32>(first, second, 0, 4, 1, 5));
      v128.store(x, v128.shuffle<i32>(first, second, 2, 6, 3, 7), 16);
    }
  }
}

/** Stores one head's key at `position` of keys (positions / 8, headDim, 8). */
export function storeKey(k: usize, keys: usize, position: i32, headDim: i32): void {
  let dst = keys + <usize>(position >> 3) * (<usize>headDim << 5) + (<usize>(position & 7) << 2);
  const end = k + (<usize>headDim << 2);
  for (; k < end; k += 4, dst += 32) store<f32>(dst, load<f32>(k));
}

/** Where a position's value begins, of `bytes` a vector of 8 elements. */
@inline
export function valueAt(position: i32, headDim: i32, bytes: usize): usize {
  const p = <usize>position;
  return (p / CHUNK * CHUNK * (<usize>headDim >> 3) + p % CHUNK) * bytes;
}

/** Stores one head's value at `position` of values (positions / CHUNK, headDim / 8, CHUNK, 8). */
export function storeValue(v: usize, values: usize, position: i32, headDim: i32): void {
  let dst = values + valueAt(position, headDim, 32);
  const end = v + (<usize>headDim << 2);
  for (; v < end; v += 32, dst += CHUNK * 32) {
    v128.store(dst, v128.load(v));
    v128.store(dst, v128.load(v, 16), 16);
  }
}

/** Scores of 4 heads for `blocks` blocks of 8 positions. q: 4 heads one after another. s: 4 rows of CHUNK. */
function scores4(q: usize, keys: usize, s: usize, blocks: i32, headDim: i32, scale: f32): void {
  const head = <usize>headDim << 2;
  const f = f32x4.splat(scale);
  for (let b = 0; b < blocks; b++, s += 32) {
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    const end = q + head;
    for (let p = q; p < end; p += 4, keys += 32) {
      const k0 = v128.load(keys), k1 = v128.load(keys, 16);
      let e = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(e, k0));
      a1 = f32x4.add(a1, f32x4.mul(e, k1));
      e = v128.load32_splat(p + head);
      b0 = f32x4.add(b0, f32x4.mul(e, k0));
      b1 = f32x4.add(b1, f32x4.mul(e, k1));
      e = v128.load32_splat(p + head * 2);
      c0 = f32x4.add(c0, f32x4.mul(e, k0));
      c1 = f32x4.add(c1, f32x4.mul(e, k1));
      e = v128.load32_splat(p + head * 3);
      d0 = f32x4.add(d0, f32x4.mul(e, k0));
      d1 = f32x4.add(d1, f32x4.mul(e, k1));
    }
    v128.store(s, f32x4.mul(a0, f));
    v128.store(s, f32x4.mul(a1, f), 16);
    v128.store(s + CHUNK_ROW, f32x4.mul(b0, f));
    v128.store(s + CHUNK_ROW, f32x4.mul(b1, f), 16);
    v128.store(s + CHUNK_ROW * 2, f32x4.mul(c0, f));
    v128.store(s + CHUNK_ROW * 2, f32x4.mul(c1, f), 16);
    v128.store(s + CHUNK_ROW * 3, f32x4.mul(d0, f));
    v128.store(s + CHUNK_ROW * 3, f32x4.mul(d1, f), 16);
  }
}

/** The same for one head, with the same sums. */
function scores1(q: usize, keys: usize, s: usize, blocks: i32, headDim: i32, scale: f32): void {
  const f = f32x4.splat(scale);
  for (let b = 0; b < blocks; b++, s += 32) {
    let a0 = f32x4.splat(0), a1 = a0;
    const end = q + (<usize>headDim << 2);
    for (let p = q; p < end; p += 4, keys += 32) {
      const e = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(e, v128.load(keys)));
      a1 = f32x4.add(a1, f32x4.mul(e, v128.load(keys, 16)));
    }
    v128.store(s, f32x4.mul(a0, f));
    v128.store(s, f32x4.mul(a1, f), 16);
  }
}

/** s[count] → exp(s - max s) in place; partial[0] = max s, partial[1] = the sum. */
export function softmaxChunk(s: usize, partial: usize, count: i32): void {
  const end = s + (<usize>count << 2);
  const stop = s + (<usize>((count + 3) & ~3) << 2);
  for (let p = end; p < stop; p += 4) store<f32>(p, -Infinity);
  let m = f32x4.splat(-Infinity);
  for (let p = s; p < stop; p += 16) m = f32x4.pmax(m, v128.load(p));
  m = f32x4.splat(maxLane(m));
  let sum = f32x4.splat(0);
  for (let p = s; p < stop; p += 16) {
    const e = expNegative(f32x4.sub(v128.load(p), m));
    sum = f32x4.add(sum, e);
    v128.store(p, e);
  }
  sum = f32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
  store<f32>(partial, f32x4.extract_lane(m, 0));
  store<f32>(partial, f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1), 4);
}

/** out[headDim] of 4 heads, `outStride` bytes apart, = sum of w[p] v[p] for `count` positions; w: 4 rows of CHUNK. */
function mix4(w: usize, values: usize, out: usize, outStride: usize, count: i32, headDim: i32): void {
  const outEnd = out + (<usize>headDim << 2);
  for (; out < outEnd; out += 32, values += CHUNK * 32) {
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    const end = w + (<usize>count << 2);
    for (let p = w, v = values; p < end; p += 4, v += 32) {
      const v0 = v128.load(v), v1 = v128.load(v, 16);
      let e = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(e, v0));
      a1 = f32x4.add(a1, f32x4.mul(e, v1));
      e = v128.load32_splat(p, CHUNK_ROW);
      b0 = f32x4.add(b0, f32x4.mul(e, v0));
      b1 = f32x4.add(b1, f32x4.mul(e, v1));
      e = v128.load32_splat(p, CHUNK_ROW * 2);
      c0 = f32x4.add(c0, f32x4.mul(e, v0));
      c1 = f32x4.add(c1, f32x4.mul(e, v1));
      e = v128.load32_splat(p, CHUNK_ROW * 3);
      d0 = f32x4.add(d0, f32x4.mul(e, v0));
      d1 = f32x4.add(d1, f32x4.mul(e, v1));
    }
    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out + outStride, b0);
    v128.store(out + outStride, b1, 16);
    v128.store(out + outStride * 2, c0);
    v128.store(out + outStride * 2, c1, 16);
    v128.store(out + outStride * 3, d0);
    v128.store(out + outStride * 3, d1, 16);
  }
}

/** The same for one head, with the same sums. */
function mix1(w: usize, values: usize, out: usize, count: i32, headDim: i32): void {
  const outEnd = out + (<usize>headDim << 2);
  for (; out < outEnd; out += 32, values += CHUNK * 32) {
    let a0 = f32x4.splat(0), a1 = a0;
    const end = w + (<usize>count << 2);
    for (let p = w, v = values; p < end; p += 4, v += 32) {
      const e = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(e, v128.load(v)));
      a1 = f32x4.add(a1, f32x4.mul(e, v128.load(v, 16)));
    }
    v128.store(out, a0);
    v128.store(out, a1, 16);
  }
}

/**
 * Attention of `heads` query heads that share one key-value head, over the first `count` positions of a chunk. partial,
 * for each head, headDim + 4 floats: max, sum of w, 2 unused, sum of w v (headDim). scores: scratch of `heads` rows of
 * CHUNK floats.
 */
export function attendChunk(
  q: usize, keys: usize, values: usize, count: i32,
  heads: i32, headDim: i32, scores: usize, partial: usize,
): void {
  const scale = <f32>(1.0 / Math.sqrt(<f64>headDim));
  const blocks = (count + 7) >> 3;
  const head = <usize>headDim << 2;
  const partialHead = head + PARTIAL_MIX;
  let h = 0;
  for (; h + 4 <= heads; h += 4) {
    scores4(q + <usize>h * head, keys, scores + <usize>h * CHUNK_ROW, blocks, headDim, scale);
  }
  for (; h < heads; h++) scores1(q + <usize>h * head, keys, scores + <usize>h * CHUNK_ROW, blocks, headDim, scale);
  for (h = 0; h < heads; h++) softmaxChunk(scores + <usize>h * CHUNK_ROW, partial + <usize>h * partialHead, count);
  const out = partial + PARTIAL_MIX;
  h = 0;
  for (; h + 4 <= heads; h += 4) {
    mix4(scores + <usize>h * CHUNK_ROW, values, out + <usize>h * partialHead, partialHead, count, headDim);
  }
  for (; h < heads; h++) mix1(scores + <usize>h * CHUNK_ROW, values, out + <usize>h * partialHead, count, headDim);
}

/** Adds the partial result of the next chunk to that of the chunks before it: state = state + next, both of one head. */
export function fold(state: usize, next: usize, headDim: i32): void {
  const before = load<f32>(state), after = load<f32>(next);
  const m = max(before, after);
  const a = expNegative(f32x4.splat(before - m)), b = expNegative(f32x4.splat(after - m));
  store<f32>(state, m);
  store<f32>(state, f32x4.extract_lane(a, 0) * load<f32>(state, 4) + f32x4.extract_lane(b, 0) * load<f32>(next, 4), 4);
  const end = state + (<usize>headDim << 2);
  for (; state < end; state += 16, next += 16) {
    const old = f32x4.mul(a, v128.load(state, PARTIAL_MIX));
    v128.store(state, f32x4.add(old, f32x4.mul(b, v128.load(next, PARTIAL_MIX))), PARTIAL_MIX);
  }
}

/** out[headDim] = the mix of a head's whole context: its sum of w v over its sum of w. */
export function finish(state: usize, out: usize, headDim: i32): void {
  const inverse = f32x4.splat(1 / load<f32>(state, 4));
  const end = out + (<usize>headDim << 2);
  for (; out < end; out += 16, state += 16) v128.store(out, f32x4.mul(v128.load(state, PARTIAL_MIX), inverse));
}
