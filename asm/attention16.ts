// The key-value cache in 16 bits: half the memory and half the traffic of attention.ts, the same shape of computation.
//
// Plain loop, for one head:   k16[p] = round(k[p] * L / max|k[p]|), v16[p] = round(v[p] * 32767 / max|v[p]|), q16 alike
//   s[p] = (q16 . k16[p]) * scale(q) * scale(k[p]) / sqrt(headDim);  w = exp(s - max s)
//   out = sum over p of (w[p] * scale(v[p])) v16[p] / sum w
//
// What differs from attention.ts:
// 1. Every key, value and query head has one float32 scale. L is the largest limit for which headDim products of two
//    int16 add up in int32 without overflow, 4095 for 128: twice as fine as the 11 bits of F16 at the top of its range.
// 2. Keys lie as (position / 8, headDim / 2, 8, 2): one i32x4.dot_i16x8_s takes two elements of four positions.
// 3. Scores are exact integers: their order of summation does not matter.
//
// Preconditions: headDim a multiple of 8; what follows a chunk's last position in its block is readable.

import { CHUNK, CHUNK_ROW, PARTIAL_MIX, softmaxChunk, valueAt } from "./attention";
import { largerMagnitude, largestMagnitude, roundToInt } from "./reduce";

/** max|x| over n float32; NaN where one is */
@inline
function absmax(x: usize, n: i32): f32 {
  let m = f32x4.splat(0);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) m = largerMagnitude(m, v128.load(x));
  return largestMagnitude(m);
}

/** 8 float32 times s as int16 */
@inline
function rounded8(x: usize, s: v128): v128 {
  const a = roundToInt(f32x4.mul(v128.load(x), s)), b = roundToInt(f32x4.mul(v128.load(x, 16), s));
  return i16x8.narrow_i32x4_s(a, b);
}

/** Stores one head's key at `position` of keys (positions / 8, headDim / 2, 8, 2) and its scale. */
export function storeKey16(k: usize, keys: usize, scales: usize, position: i32, headDim: i32, limit: i32): void {
  const largest = max<f32>(absmax(k, headDim), 1e-30);
  const s = f32x4.splat(<f32>limit / largest);
  let dst = keys + <usize>(position >> 3) * (<usize>headDim << 4) + (<usize>(position & 7) << 2);
  const end = k + (<usize>headDim << 2);
  for (; k < end; k += 32, dst += 128) {
    const x = rounded8(k, s); // 4 pairs
    v128.store32_lane(dst, x, 0);
    v128.store32_lane(dst, x, 1, 32);
    v128.store32_lane(dst, x, 2, 64);
    v128.store32_lane(dst, x, 3, 96);
  }
  store<f32>(scales + (<usize>position << 2), largest / <f32>limit);
}

/** Stores one head's value at `position` of values (positions / CHUNK, headDim / 8, CHUNK, 8) and its scale. */
export function storeValue16(v: usize, values: usize, scales: usize, position: i32, headDim: i32): void {
  const largest = max<f32>(absmax(v, headDim), 1e-30);
  const s = f32x4.splat(<f32>32767 / largest);
  let dst = values + valueAt(position, headDim, 16);
  const end = v + (<usize>headDim << 2);
  for (; v < end; v += 32, dst += CHUNK * 16) v128.store(dst, rounded8(v, s));
  store<f32>(scales + (<usize>position << 2), largest / 32767);
}

/** q[headDim] float32 → q16; returns its scale. */
@inline
function quantizeQuery(q: usize, q16: usize, headDim: i32, limit: i32): f32 {
  const largest = max<f32>(absmax(q, headDim), 1e-30);
  const s = f32x4.splat(<f32>limit / largest);
  const end = q + (<usize>headDim << 2);
  for (; q < end; q += 32, q16 += 16) v128.store(q16, rounded8(q, s));
  return largest / <f32>limit;
}

@inline
function storeScores(s: usize, a0: v128, a1: v128, scales: usize, factor: f32): void {
  const f = f32x4.splat(factor);
  v128.store(s, f32x4.mul(f32x4.convert_i32x4_s(a0), f32x4.mul(v128.load(scales), f)));
  v128.store(s, f32x4.mul(f32x4.convert_i32x4_s(a1), f32x4.mul(v128.load(scales, 16), f)), 16);
}

/** Scores of 4 heads for `blocks` blocks of 8 positions; factors: 4 float32. */
function scores4(q: usize, keys: usize, scales: usize, s: usize, blocks: i32, headDim: i32, factors: usize): void {
  const head = <usize>headDim << 1;
  for (let b = 0; b < blocks; b++, s += 32, scales += 32) {
    let a0 = i32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    const end = q + head;
    for (let p = q; p < end; p += 4, keys += 32) {
      const k0 = v128.load(keys), k1 = v128.load(keys, 16);
      let e = v128.load32_splat(p);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(e, k0));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(e, k1));
      e = v128.load32_splat(p + head);
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(e, k0));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(e, k1));
      e = v128.load32_splat(p + head * 2);
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(e, k0));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(e, k1));
      e = v128.load32_splat(p + head * 3);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(e, k0));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(e, k1));
    }
    storeScores(s, a0, a1, scales, load<f32>(factors));
    storeScores(s + CHUNK_ROW, b0, b1, scales, load<f32>(factors, 4));
    storeScores(s + CHUNK_ROW * 2, c0, c1, scales, load<f32>(factors, 8));
    storeScores(s + CHUNK_ROW * 3, d0, d1, scales, load<f32>(factors, 12));
  }
}

/** The same for one head. */
function scores1(q: usize, keys: usize, scales: usize, s: usize, blocks: i32, headDim: i32, factor: f32): void {
  for (let b = 0; b < blocks; b++, s += 32, scales += 32) {
    let a0 = i32x4.splat(0), a1 = a0;
    const end = q + (<usize>headDim << 1);
    for (let p = q; p < end; p += 4, keys += 32) {
      const e = v128.load32_splat(p);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(e, v128.load(keys)));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(e, v128.load(keys, 16)));
    }
    storeScores(s, a0, a1, scales, factor);
  }
}

/** w[p] *= scales[p] */
@inline
function weigh(w: usize, scales: usize, count: i32): void {
  const end = w + (<usize>count << 2);
  for (; w < end; w += 16, scales += 16) v128.store(w, f32x4.mul(v128.load(w), v128.load(scales)));
}

@inline
function lower(v: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(v));
}

@inline
function upper(v: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(v));
}

/** out[headDim] of 4 heads, `outStride` bytes apart, = sum of w[p] v16[p]. */
function mix4(w: usize, values: usize, out: usize, outStride: usize, count: i32, headDim: i32): void {
  const outEnd = out + (<usize>headDim << 2);
  for (; out < outEnd; out += 32, values += CHUNK * 16) {
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    const end = w + (<usize>count << 2);
    for (let p = w, at = values; p < end; p += 4, at += 16) {
      const v = v128.load(at);
      const v0 = lower(v), v1 = upper(v);
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
  for (; out < outEnd; out += 32, values += CHUNK * 16) {
    let a0 = f32x4.splat(0), a1 = a0;
    const end = w + (<usize>count << 2);
    for (let p = w, at = values; p < end; p += 4, at += 16) {
      const v = v128.load(at), e = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(e, lower(v)));
      a1 = f32x4.add(a1, f32x4.mul(e, upper(v)));
    }
    v128.store(out, a0);
    v128.store(out, a1, 16);
  }
}

/**
 * attendChunk of attention.ts over 16-bit keys and values with their scales. scores: scratch of `heads` rows of CHUNK
 * floats, then for each head headDim int16 and a float32, rounded up to 16 bytes in all.
 */
export function attendChunk16(
  q: usize, keys: usize, values: usize, keyScales: usize, valueScales: usize, count: i32,
  heads: i32, headDim: i32, scores: usize, partial: usize, limit: i32,
): void {
  const scale = <f32>(1.0 / Math.sqrt(<f64>headDim));
  const blocks = (count + 7) >> 3;
  const head16 = <usize>headDim << 1;
  const partialHead = (<usize>headDim << 2) + PARTIAL_MIX;
  const q16 = scores + <usize>heads * CHUNK_ROW;
  const factors = q16 + <usize>heads * head16;
  for (let h = 0; h < heads; h++) {
    const s = quantizeQuery(q + <usize>h * (head16 << 1), q16 + <usize>h * head16, headDim, limit);
    store<f32>(factors + (<usize>h << 2), s * scale);
  }
  let h = 0;
  for (; h + 4 <= heads; h += 4) {
    const factor = factors + (<usize>h << 2);
    scores4(q16 + <usize>h * head16, keys, keyScales, scores + <usize>h * CHUNK_ROW, blocks, headDim, factor);
  }
  for (; h < heads; h++) {
    const factor = load<f32>(factors + (<usize>h << 2));
    scores1(q16 + <usize>h * head16, keys, keyScales, scores + <usize>h * CHUNK_ROW, blocks, headDim, factor);
  }
  for (h = 0; h < heads; h++) {
    softmaxChunk(scores + <usize>h * CHUNK_ROW, partial + <usize>h * partialHead, count);
    weigh(scores + <usize>h * CHUNK_ROW, valueScales, count);
  }
  const out = partial + PARTIAL_MIX;
  h = 0;
  for (; h + 4 <= heads; h += 4) {
    mix4(scores + <usize>h * CHUNK_ROW, values, out + <usize>h * partialHead, partialHead, count, headDim);
  }
  for (; h < heads; h++) mix1(scores + <usize>h * CHUNK_ROW, values, out + <usize>h * partialHead, count, headDim);
}
