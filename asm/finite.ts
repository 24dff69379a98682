// What loading asks of the floats of a weight: is each of them finite?
//
// Plain loop:   the first i < count for which (u16[at + i * stride] & exponent) == exponent, or -1
//
// at: the word with the sign and the exponent of the first float; exponent: the bits of the exponent in it. Floats that
// lie side by side (stride 2 or 4) are looked at in runs of 1 KiB:
// 1. the exponent plus its lowest bit carries into the sign's place where all of its bits are set, and nowhere else: one
//    addition finds that out for the 4 or 8 floats of a vector, and the sums of a run are joined by "or";
// 2. the plain loop then names the first, from the run on in which it is.

const RUN: usize = 1024;

/** Whether a run has a float that is not finite; `m`: the exponents' bits, `low`: the lowest of each, `top`: the sign's. */
@inline
function inRun(at: usize, m: v128, low: v128, top: v128): bool {
  let a = i32x4.splat(0), b = a;
  for (const end = at + RUN; at < end; at += 32) {
    a = v128.or(a, i32x4.add(v128.and(v128.load(at), m), low));
    b = v128.or(b, i32x4.add(v128.and(v128.load(at, 16), m), low));
  }
  return v128.any_true(v128.and(v128.or(a, b), top));
}

export function firstNonFinite(at: usize, count: i32, stride: usize, exponent: i32): i32 {
  let i = 0;
  if (stride <= 4) {
    // stride 2: a float in each half of a 32-bit word; stride 4: its upper half is what `at` points to
    const spread = stride == 2 ? 0x10001 : 0x10000;
    const m = i32x4.splat(exponent * spread), low = i32x4.splat((exponent & -exponent) * spread);
    const top = i32x4.splat(0x8000 * spread);
    const step = <i32>(RUN / stride);
    for (let p = at - (stride - 2); i + step <= count && !inRun(p, m, low, top); p += RUN) i += step;
  }
  for (; i < count; i++) {
    if ((<i32>load<u16>(at + <usize>i * stride) & exponent) == exponent) return i;
  }
  return -1;
}
