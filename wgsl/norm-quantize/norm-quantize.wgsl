// RMSNorm and absmax int8 quantisation, one workgroup a row; norm-row.wgsl has the formulas.
//
// x comes from `taken`, which another file defines: a tensor, or the product of the gate. Every thread meets the same
// elements in both passes, so `normed` holds z between them without a barrier.
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
