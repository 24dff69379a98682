// The scan of the exact head: approximate logits of all rows of a table with a bound on their error, from an int8 copy of
// half the size. Rows that the bound cannot rule out are computed from the table itself (dense.ts), so that the best ids
// and their logits are the same bits as those of the full head.
//
// Plain loop:   a[r] = scale[r] / s * sum over c of code[r][c] * u[c],   code = round(w / scale), u = round(x * s)
//               |w[r] . x - a[r]| <= |w[r] - scale[r] code[r]| |x| + |w[r]| |x - u / s|      (Cauchy-Schwarz, twice)
//
// Layout. Rows go in groups of 4; for each 16 columns 64 bytes: 16 of row 0, of row 1, of row 2, of row 3. Beside it, 64
// bytes a group: 4 scales, 4 norms |w - scale code|, 4 norms |w|, 4 unused.
//
// Preconditions: columns a multiple of 16; u fits 127 * columns * max|u| < 2^31, so that int32 sums are exact.

import { largerMagnitude, largestMagnitude, roundToInt as rounded, sumTree } from "./reduce";

export const HEAD_GROUP: i32 = 4; // rows
export const HEAD_NUMBERS: usize = 64; // bytes of scales and norms of a group

/** Float sums are within 2e-4 of exact ones for rows of up to 2^20; the norms are rounded up by more than that. */
const UPWARD: f32 = 1.001;

@inline
function upward(squares: f32): f32 {
  return Mathf.sqrt(squares) * UPWARD;
}

/** max|x|; NaN where one is */
@inline
function absmax(x: usize, n: i32): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 64) {
    a = largerMagnitude(a, v128.load(x));
    b = largerMagnitude(b, v128.load(x, 16));
    c = largerMagnitude(c, v128.load(x, 32));
    d = largerMagnitude(d, v128.load(x, 48));
  }
  return largestMagnitude(i32x4.max_s(i32x4.max_s(a, b), i32x4.max_s(c, d)));
}

@inline
function squaredError(row: usize, codes: v128, scale: v128): v128 {
  const e = f32x4.sub(v128.load(row), f32x4.mul(f32x4.convert_i32x4_s(codes), scale));
  return f32x4.mul(e, e);
}

/** Packs row[n] float32 as row `lane` (0..3) of a group: codes at `dst`, its numbers at `numbers`. */
export function headPack(row: usize, dst: usize, numbers: usize, lane: i32, n: i32): void {
  const largest = absmax(row, n);
  const scale: f32 = largest > 0 ? largest / 127 : 1;
  const inverse = f32x4.splat(1 / scale), s = f32x4.splat(scale);
  const zero = f32x4.splat(0);
  let e = zero, squares = i32x4.splat(0);
  const end = row + (<usize>n << 2);
  dst += <usize>lane << 4;
  for (; row < end; row += 64, dst += 64) {
    const p = i16x8.narrow_i32x4_s(rounded(f32x4.mul(v128.load(row), inverse)), rounded(f32x4.mul(v128.load(row, 16), inverse)));
    const q = i16x8.narrow_i32x4_s(rounded(f32x4.mul(v128.load(row, 32), inverse)), rounded(f32x4.mul(v128.load(row, 48), inverse)));
    v128.store(dst, i8x16.narrow_i16x8_s(p, q));
    squares = i32x4.add(squares, i32x4.add(i32x4.dot_i16x8_s(p, p), i32x4.dot_i16x8_s(q, q)));
    const a = squaredError(row, i32x4.extend_low_i16x8_s(p), s), b = squaredError(row + 16, i32x4.extend_high_i16x8_s(p), s);
    const c = squaredError(row + 32, i32x4.extend_low_i16x8_s(q), s), d = squaredError(row + 48, i32x4.extend_high_i16x8_s(q), s);
    e = f32x4.add(e, f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  const error = upward(sumTree(e, zero, zero, zero));
  // |w| <= |scale code| + |w - scale code|
  const norm = scale * upward(sumTree(f32x4.convert_i32x4_s(squares), zero, zero, zero)) + error;
  numbers += <usize>lane << 2;
  store<f32>(numbers, scale);
  // the last term: the difference w - scale code is itself rounded
  store<f32>(numbers, error + norm * <f32>1.2e-7, 16);
  store<f32>(numbers, norm, 32);
}

/**
 * x[n] float32 → u[n] int16 with |u| <= limit, and factors[3]: 1 / s; |x| rounded up; and what |w| is to be multiplied by:
 * |x - u / s| rounded up, plus the rounding of both float sums.
 */
export function headQuantize(x: usize, u: usize, factors: usize, n: i32, limit: i32): void {
  const largest = max<f32>(absmax(x, n), 1e-30);
  const s = <f32>limit / largest;
  const f = f32x4.splat(s);
  let a = f32x4.splat(0), b = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 32, u += 16) {
    const x0 = v128.load(x), x1 = v128.load(x, 16);
    a = f32x4.add(a, f32x4.mul(x0, x0));
    b = f32x4.add(b, f32x4.mul(x1, x1));
    v128.store(u, i16x8.narrow_i32x4_s(rounded(f32x4.mul(x0, f)), rounded(f32x4.mul(x1, f))));
  }
  const zero = f32x4.splat(0);
  const norm = upward(sumTree(a, b, zero, zero));
  // each |x - u / s| is at most half a step and the rounding of x * s
  const step = (<f32>0.5 / s + largest * <f32>2.4e-7) * Mathf.sqrt(<f32>n) * UPWARD;
  // a float sum of n products in 16 lanes is off by at most (n / 16 + 6) 2^-24 |w| |x|; the scan's own few roundings
  // are covered by the rest of 64
  const rounding = (<f32>n / 16 + 64) * <f32>5.9604645e-8 * norm;
  store<f32>(factors, 1 / s);
  store<f32>(factors, norm, 4);
  store<f32>(factors, step + rounding, 8);
}

@inline
function products(acc: v128, row: usize, u0: v128, u1: v128): v128 {
  const low = i32x4.dot_i16x8_s(v128.load8x8_s(row), u0);
  const high = i32x4.dot_i16x8_s(v128.load8x8_s(row, 8), u1);
  return i32x4.add(acc, i32x4.add(low, high));
}

/** lower[4 * groups] and upper[4 * groups]: bounds of the logits of `groups` groups; NaN where nothing is known. */
export function headScan(codes: usize, numbers: usize, u: usize, factors: usize, lower: usize, upper: usize, n: i32, groups: i32): void {
  const inverse = v128.load32_splat(factors);
  const x = v128.load32_splat(factors, 4);
  const w = v128.load32_splat(factors, 8);
  const uEnd = u + (<usize>n << 1);
  const end = lower + <usize>(groups * HEAD_GROUP << 2);
  for (; lower < end; lower += 16, upper += 16, numbers += HEAD_NUMBERS) {
    let a = i32x4.splat(0), b = a, c = a, d = a;
    for (let p = u; p < uEnd; p += 32, codes += 64) {
      const u0 = v128.load(p), u1 = v128.load(p, 16);
      a = products(a, codes, u0, u1);
      b = products(b, codes + 16, u0, u1);
      c = products(c, codes + 32, u0, u1);
      d = products(d, codes + 48, u0, u1);
    }
    const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
    const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
    const sum = i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
    const logit = f32x4.mul(f32x4.convert_i32x4_s(sum), f32x4.mul(v128.load(numbers), inverse));
    const error = f32x4.add(f32x4.mul(v128.load(numbers, 16), x), f32x4.mul(v128.load(numbers, 32), w));
    v128.store(lower, f32x4.sub(logit, error));
    v128.store(upper, f32x4.add(logit, error));
  }
}

/** Indices of values[n] that are not below `threshold`, ascending, into found[]; NaN is not. Returns how many. */
export function atLeast(values: usize, n: i32, threshold: f32, found: usize): i32 {
  const t = f32x4.splat(threshold);
  const start = found;
  let i = 0;
  for (; i + 4 <= n; i += 4, values += 16) {
    let hits = i32x4.bitmask(f32x4.lt(v128.load(values), t)) ^ 15;
    for (; hits; hits &= hits - 1, found += 4) store<i32>(found, i + ctz(hits));
  }
  for (; i < n; i++, values += 4) {
    if (load<f32>(values) < threshold) continue;
    store<i32>(found, i);
    found += 4;
  }
  return <i32>((found - start) >> 2);
}
