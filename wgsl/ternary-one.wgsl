// The matrix of a ternary op and its result.

@group(0) @binding(FIRST) var<storage, read> codes0: array<vec4<u32>>;       // (outputs0, columns / 64)
@group(0) @binding(FIRST + 1) var<storage, read_write> out0: array<f32>; // (rows, outputs0)

fn codesAt(matrix: u32, i: u32) -> vec4<u32> {
  return codes0[i];
}

fn keep(matrix: u32, i: u32, y: f32) {
  out0[i] = y;
}
