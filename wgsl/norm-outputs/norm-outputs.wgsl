// RMSNorm of the requested rows, packed.
//
// Plain loop:   out[j][i] = x[row][i] * weight[i] / sqrt(mean(x[row]^2) + eps), row = outputs[j]
//
// What the fast form adds: a workgroup of 256 threads takes a row, and adds their sums in one fixed order (shared/reduce.wgsl).
// Preconditions: width a multiple of 4.

struct Params {
  quads: u32, // width / 4
  share: f32, // 1 / width
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;         // (rows, width)
@group(0) @binding(3) var<storage, read> outputs: array<i32>;         // (outputs)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (outputs, width)

@compute @workgroup_size(256)
fn normOutputs(@builtin(workgroup_id) group: vec3<u32>, at: Thread) {
  let thread = at.index;
  let source = u32(outputs[group.x]) * params.quads;
  let to = group.x * params.quads;

  var part = vec2(0.0);
  for (var i = thread; i < params.quads; i += THREADS) {
    part = grown(part, x[source + i], vec4(0.0));
  }
  let r = rowScale(at, part, params.share, params.eps).r;
  for (var i = thread; i < params.quads; i += THREADS) {
    out[to + i] = x[source + i] * weightAt(i) * r;
  }
}
