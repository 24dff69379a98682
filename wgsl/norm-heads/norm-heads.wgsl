// RMSNorm of each head of rows in place, by one weight for all heads.
//
// Plain loop:   x[head][i] = x[head][i] * weight[i] / sqrt(mean(x[head]^2) + eps)
//
// What the fast form adds:
// 1. 32 threads take a head, a workgroup 8 heads: lane l sums quads l, l + 32, ...; then every lane adds the 32 sums in
//    their order.
// 2. A head of which an element is no finite number, or whose squares overflow, becomes NaN, as in shared/norm-row.wgsl.
//
// Preconditions: headDim a multiple of 4.

const LANES = 32u;
const HEADS = 8u; // of a workgroup
const INFINITY = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;

struct Params {
  quads: u32, // headDim / 4
  heads: u32, // of all rows
  share: f32, // 1 / headDim
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>; // (rows, heads, headDim)

var<workgroup> sums: array<f32, LANES * HEADS>; // (HEADS, LANES)

@compute @workgroup_size(256)
fn normHeads(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let head = group.x * HEADS + thread / LANES;
  let start = min(head, params.heads - 1u) * params.quads;

  var sum = 0.0;
  for (var i = lane; i < params.quads; i += LANES) {
    let v = x[start + i];
    sum = fma(v.w, v.w, fma(v.z, v.z, fma(v.y, v.y, fma(v.x, v.x, sum))));
  }
  sums[thread] = sum;
  workgroupBarrier();
  if head >= params.heads { return; }

  var square = 0.0;
  for (var i = 0u; i < LANES; i++) { square += sums[thread / LANES * LANES + i]; }
  let bits = bitcast<u32>(square) & 0x7fffffffu;
  var r = bitcast<f32>(bits | NOT_A_NUMBER);
  if bits < INFINITY { r = 1.0 / sqrt(fma(square, params.share, params.eps)); }
  for (var i = lane; i < params.quads; i += LANES) { x[start + i] = x[start + i] * weightAt(i) * r; }
}
