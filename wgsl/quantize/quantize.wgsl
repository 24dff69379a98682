// Absmax int8 quantisation of rows as they are: a BitLinear without a norm of its own.
//
// Plain loop:   q[i] = round(x[i] * 127 / max(max|x|, 1e-5)), ties to even;  scale = max|x| / 127;  sum = sum of q
//               normed[i] = x[i]
//
// What the fast form adds: a workgroup of 256 threads takes a row; shared/norm-row.wgsl has the maximum and the rounding of
// norm-quantize. Preconditions: width a multiple of 4; `normed` is not x.

struct Params {
  quads: u32, // width / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;            // (rows, width)
@group(0) @binding(2) var<storage, read_write> normed: array<vec4<f32>>; // (rows, width)
@group(0) @binding(3) var<storage, read_write> values: array<u32>;       // (rows, width) int8
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;       // (rows)
@group(0) @binding(5) var<storage, read_write> sums: array<i32>;         // (rows)

var<workgroup> total: atomic<i32>;

@compute @workgroup_size(256)
fn quantize(@builtin(workgroup_id) group: vec3<u32>, at: Thread) {
  let row = group.x;
  let end = (row + 1u) * params.quads;
  let begin = row * params.quads + at.index;

  var part = vec2(0.0);
  for (var i = begin; i < end; i += THREADS) { part = grown(part, vec4(0.0), x[i]); }
  let largest = joinedOfAll(at, part).y;
  var absmax = bitcast<f32>(bitcast<u32>(largest) | NOT_A_NUMBER); // where x has a NaN or an infinity
  if bitcast<u32>(largest) < INFINITY { absmax = max(largest, 1e-5); }

  let s = 127.0 / absmax;
  var sum = 0;
  for (var i = begin; i < end; i += THREADS) {
    normed[i] = x[i];
    let q = rounded(x[i], s);
    values[i] = q;
    sum += dot4I8Packed(q, 0x01010101u);
  }
  atomicAdd(&total, sum); // integers: any order
  workgroupBarrier();
  if at.index == 0u {
    scales[row] = absmax / 127.0;
    sums[row] = atomicLoad(&total);
  }
}
