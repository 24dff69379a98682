// A row of RMSNorm and absmax int8 by a workgroup of 256 threads: what `norm-quantize` and `ternary-row` share, so that both
// give the same bits.
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

/** A thread's part with four more elements; fma, so that no compiler rounds otherwise in one kernel than in another. */
fn grown(part: Part, x: vec4<f32>, z: vec4<f32>) -> Part {
  let size = abs(z);
  let square = fma(x.w, x.w, fma(x.z, x.z, fma(x.y, x.y, fma(x.x, x.x, part.x))));
  return vec2(square, max(part.y, max(max(size.x, size.y), max(size.z, size.w))));
}

fn joined(a: Part, b: Part) -> Part {
  return vec2(a.x + b.x, max(a.y, b.y));
}

/**
 * From all threads' parts; `share` is 1 / width, from the host, since a compiler may turn a division by a constant into a product.
 * Called by all threads.
 */
fn rowScale(thread: Thread, part: Part, share: f32, eps: f32) -> RowScale {
  let all = joinedOfAll(thread, part);
  let r = 1.0 / sqrt(fma(all.x, share, eps));
  return RowScale(r, max(all.y * r, 1e-5));
}

/** Four elements as int8; s = 127 / absmax. */
fn rounded(y: vec4<f32>, s: f32) -> u32 {
  return pack4xI8(clamp(vec4<i32>(round(y * s)), vec4(-128), vec4(127)));
}
