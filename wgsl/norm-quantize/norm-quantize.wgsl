// RMSNorm and absmax int8 quantisation of rows.
//
// Plain loop:   y[i] = x[i] * weight[i] / sqrt(mean(x^2) + eps)
//               q[i] = round(y[i] * 127 / max(max|y|, 1e-5)), ties to even;  scale = max|y| / 127;  sum = sum of q
//
// What the fast form adds:
// 1. A workgroup of 256 threads takes a row; one pass over it finds both the mean and max|y| (shared/norm-row.wgsl).
// 2. x comes from `taken` of another file: a tensor (x.wgsl), or the gate's product, which then needs no pass of its own.
// 3. Every thread meets the same elements in both passes, so that `normed` holds x * weight between them without a barrier.
//
// Preconditions: width a multiple of 16.

struct Params {
  quads: u32, // width / 4
  share: f32, // 1 / width
  eps: f32,
}

const FIRST = 6; // binding of the first input

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> normed: array<vec4<f32>>; // (rows, width)
@group(0) @binding(3) var<storage, read_write> values: array<u32>;       // (rows, width) int8
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;       // (rows)
@group(0) @binding(5) var<storage, read_write> sums: array<i32>;         // (rows)

var<workgroup> total: atomic<i32>;

@compute @workgroup_size(256)
fn normQuantize(@builtin(workgroup_id) group: vec3<u32>, at: Thread) {
  let thread = at.index;
  let row = group.x;
  let end = (row + 1u) * params.quads;
  let begin = row * params.quads + thread;

  var part = vec2(0.0);
  for (var i = begin; i < end; i += THREADS) {
    let x = taken(i);
    let z = x * weightAt(i - row * params.quads);
    normed[i] = z;
    part = grown(part, x, z);
  }
  let scale = rowScale(at, part, params.share, params.eps);

  let s = 127.0 / scale.absmax;
  var sum = 0;
  for (var i = begin; i < end; i += THREADS) {
    let y = normed[i] * scale.r;
    normed[i] = y;
    let q = rounded(y, s);
    values[i] = q;
    sum += dot4I8Packed(q, 0x01010101u);
  }
  atomicAdd(&total, sum); // integers: any order
  workgroupBarrier();
  if (thread == 0u) {
    scales[row] = scale.absmax / 127.0;
    sums[row] = atomicLoad(&total);
  }
}
