// What the float kernels share: the one summation tree (16 running lanes, added pairwise), rounding, exp.

@inline
export function sumTree(a: v128, b: v128, c: v128, d: v128): f32 {
  const s = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
  const t = f32x4.add(s, v128.shuffle<i32>(s, s, 2, 3, 0, 1));
  return f32x4.extract_lane(t, 0) + f32x4.extract_lane(t, 1);
}

/** The largest lane; none is NaN. */
@inline
export function maxLane(m: v128): f32 {
  const pair = f32x4.pmax(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pair, 0), f32x4.extract_lane(pair, 1));
}

/**
 * The larger of |x| and `m`, which holds magnitudes, compared as integers: for floats without a sign that is the same
 * order, in which infinity and then NaN come last, so that neither is lost. One instruction, as pmax is, which loses NaN.
 */
@inline
export function largerMagnitude(m: v128, x: v128): v128 {
  return i32x4.max_s(m, f32x4.abs(x));
}

/** The largest lane of magnitudes; NaN where one is. */
@inline
export function largestMagnitude(m: v128): f32 {
  const pair = i32x4.max_s(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  return reinterpret<f32>(max(i32x4.extract_lane(pair, 0), i32x4.extract_lane(pair, 1)));
}

/**
 * x to the nearest integer, ties to even, for |x| < 2^22: the sum with 1.5 * 2^23 has it in its low bits, rounded by the
 * addition itself. Two instructions where nearest and trunc_sat take eight.
 */
@inline
export function roundToInt(x: v128): v128 {
  return i32x4.sub(f32x4.add(x, f32x4.splat(12582912)), i32x4.splat(0x4b400000));
}

/**
 * exp(x) for x <= 0, relative error below 2e-7: x = n ln 2 + r, a polynomial of degree 6 in r (coefficients of Cephes'
 * expf), then n added to the exponent. Below -87 the result is that of -87 (1.6e-38), which vanishes in any sum.
 */
@inline
export function expNegative(x: v128): v128 {
  const y = f32x4.pmax(x, f32x4.splat(-87));
  const whole = roundToInt(f32x4.mul(y, f32x4.splat(1.44269504)));
  const n = f32x4.convert_i32x4_s(whole);
  let r = f32x4.sub(y, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.1219444e-4)));
  let p = f32x4.splat(1.98756915e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.39819995e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.33345191e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.16657959e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.66666655e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), f32x4.add(r, f32x4.splat(1)));
  const power = i32x4.shl(i32x4.add(whole, i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}
