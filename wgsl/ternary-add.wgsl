// The matrix of a ternary op, its result, and the residual stream that receives the result as well.

@group(0) @binding(FIRST) var<storage, read> codes0: array<vec4<u32>>;       // (outputs0, columns / 64)
@group(0) @binding(FIRST + 1) var<storage, read_write> out0: array<f32>;  // (rows, outputs0)
@group(0) @binding(FIRST + 2) var<storage, read_write> addTo: array<f32>; // (rows, outputs0)

fn codesAt(matrix: u32, i: u32) -> vec4<u32> {
  return codes0[i];
}

fn keep(matrix: u32, i: u32, y: f32) {
  out0[i] = y;
  addTo[i] += y;
}
