// A row of RMSNorm and absmax int8 by a workgroup of 256 threads: what norm-quantize, norm-outputs and ternary-row share, so
// that all give the same bits.
//
// Plain loop:   z[i] = x[i] * weight[i],  r = 1 / sqrt(mean(x^2) + eps),  y[i] = z[i] * r
//               q[i] = round(y[i] * 127 / max(max|y|, 1e-5)), ties to even
//
// Rounding is monotonic, so that max|y| is max|z| * r to the last bit: one pass over the row finds both of its sums.

const THREADS = 256u;

struct RowScale {
  r: f32,
  absmax: f32,
}

alias Part = vec2<f32>; // of a thread: sum of x^2, max|z|

// WGSL lets `max` lose a NaN. The bits of floats without a sign, as integers, have the same order, in which infinity and
// then NaN come last: so neither is lost, and no comparison of floats is asked about them.
const INFINITY = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;

fn larger(a: f32, b: f32) -> f32 { return bitcast<f32>(max(bitcast<u32>(a), bitcast<u32>(b))); }

/** A thread's part with four more elements; fma, so that no compiler rounds otherwise in one kernel than in another. */
fn grown(part: Part, x: vec4<f32>, z: vec4<f32>) -> Part {
  let size = abs(z);
  let square = fma(x.w, x.w, fma(x.z, x.z, fma(x.y, x.y, fma(x.x, x.x, part.x))));
  return vec2(square, larger(part.y, larger(larger(size.x, size.y), larger(size.z, size.w))));
}

fn joined(a: Part, b: Part) -> Part {
  return vec2(a.x + b.x, larger(a.y, b.y));
}

/**
 * From all threads' parts; `share` is 1 / width, from the host, since a compiler may turn a division by a constant into a product.
 * Called by all threads. Both results are NaN where x or z has a NaN or an infinity, or the squares overflow.
 */
fn rowScale(thread: Thread, part: Part, share: f32, eps: f32) -> RowScale {
  let all = joinedOfAll(thread, part);
  let bits = max(bitcast<u32>(all.x), bitcast<u32>(all.y)); // with a NaN's sign, if it has one
  if bits >= INFINITY {
    let none = bitcast<f32>(bits | NOT_A_NUMBER);
    return RowScale(none, none);
  }
  let r = 1.0 / sqrt(fma(all.x, share, eps));
  return RowScale(r, max(all.y * r, 1e-5));
}

/** Four elements as int8; s = 127 / absmax. */
fn rounded(y: vec4<f32>, s: f32) -> u32 {
  return pack4xI8(clamp(vec4<i32>(round(y * s)), vec4(-128), vec4(127)));
}
