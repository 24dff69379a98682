// RMSNorm and absmax int8 quantisation of one row.
//
// Plain loop:   y[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]
//               q[i] = round(y[i] * 127 / max(max|y|, 1e-5)), ties to even
//
// The sum of squares is taken in 16 lanes (i mod 16) that are then added pairwise: one fixed tree, so a row's result
// depends on nothing but the row. No fused multiply-add, whose rounding differs between machines.
//
// Preconditions: n a multiple of 16.

import { largerMagnitude, largestMagnitude, maxLane, roundToInt, sumTree } from "./reduce";

/** mean(x^2) */
@inline
function meanSquare(x: usize, n: i32): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    a = f32x4.add(a, f32x4.mul(x0, x0));
    b = f32x4.add(b, f32x4.mul(x1, x1));
    c = f32x4.add(c, f32x4.mul(x2, x2));
    d = f32x4.add(d, f32x4.mul(x3, x3));
  }
  return sumTree(a, b, c, d) / <f32>n;
}

/** y = x * r * weight for 4 elements, stored; gives |y| */
@inline
function normalised(x: usize, weight: usize, out: usize, r: v128): v128 {
  const y = f32x4.mul(f32x4.mul(v128.load(x), r), v128.load(weight));
  v128.store(out, y);
  return f32x4.abs(y);
}

/**
 * out[n] = RMSNorm(x[n]) * weight[n]; out may be x. Returns max|out|: NaN or infinity where any of out is. All of out is NaN
 * where x has a NaN or an infinity, or its squares overflow. The weights are finite, which loading sees to (finite.ts).
 */
export function norm(x: usize, weight: usize, out: usize, n: i32, eps: f32): f32 {
  const square = meanSquare(x, n);
  // the second term is 0, or NaN where the squares are not finite: 1 / infinity would make a row of zeros of them
  const inverse: f32 = 1 / Mathf.sqrt(square + eps) + (square - square);
  const r = f32x4.splat(inverse);
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 64, weight += 64, out += 64) {
    a = f32x4.pmax(a, normalised(x, weight, out, r));
    b = f32x4.pmax(b, normalised(x + 16, weight + 16, out + 16, r));
    c = f32x4.pmax(c, normalised(x + 32, weight + 32, out + 32, r));
    d = f32x4.pmax(d, normalised(x + 48, weight + 48, out + 48, r));
  }
  // pmax is one instruction where max is ten, but may lose a NaN; with finite weights only r makes one, and infinity stays
  return maxLane(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d))) + (inverse - inverse);
}

@inline
function rounded(y: usize, s: v128): v128 {
  return roundToInt(f32x4.mul(v128.load(y), s));
}

/** q[n] = normed * 127 / absmax rounded, its scale and its sum: see normQuantize. */
@inline
function quantizeBy(absmax: f32, normed: usize, q: usize, scale: usize, sum: usize, n: i32): void {
  const s = f32x4.splat(<f32>127 / absmax);
  let total = i32x4.splat(0);
  const end = normed + (<usize>n << 2);
  for (; normed < end; normed += 64, q += 16) {
    const a = i16x8.narrow_i32x4_s(rounded(normed, s), rounded(normed + 16, s));
    const b = i16x8.narrow_i32x4_s(rounded(normed + 32, s), rounded(normed + 48, s));
    total = i32x4.add(total, i32x4.extadd_pairwise_i16x8_s(i16x8.add(a, b)));
    v128.store(q, i8x16.narrow_i16x8_s(a, b));
  }
  store<f32>(scale, absmax / 127);
  const t = i32x4.add(total, v128.shuffle<i32>(total, total, 2, 3, 0, 1));
  store<i32>(sum, i32x4.extract_lane(t, 0) + i32x4.extract_lane(t, 1));
}

/**
 * normed[n] = norm(x), q[n] int8; scale[1] = max|normed| / 127 (f32), sum[1] = sum of q (i32). Where any of normed is NaN
 * or infinite, so is the scale, and with it every product: q means nothing then.
 */
export function normQuantize(x: usize, weight: usize, normed: usize, q: usize, scale: usize, sum: usize, n: i32, eps: f32): void {
  quantizeBy(max<f32>(norm(x, weight, normed, n, eps), 1e-5), normed, q, scale, sum, n);
}

/** The same without the norm: normed[n] = x. */
export function quantize(x: usize, normed: usize, q: usize, scale: usize, sum: usize, n: i32): void {
  let m = f32x4.splat(0);
  const end = x + (<usize>n << 2);
  for (let from = x, to = normed; from < end; from += 16, to += 16) {
    const v = v128.load(from);
    v128.store(to, v);
    m = largerMagnitude(m, v);
  }
  quantizeBy(max<f32>(largestMagnitude(m), 1e-5), normed, q, scale, sum, n);
}
