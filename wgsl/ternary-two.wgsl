// The two matrices of a ternary op and their results.

@group(0) @binding(FIRST) var<storage, read> codes0: array<vec4<u32>>;       // (outputs0, columns / 64)
@group(0) @binding(FIRST + 1) var<storage, read_write> out0: array<f32>; // (rows, outputs0)
@group(0) @binding(FIRST + 2) var<storage, read> codes1: array<vec4<u32>>;       // (outputs1, columns / 64)
@group(0) @binding(FIRST + 3) var<storage, read_write> out1: array<f32>; // (rows, outputs1)

fn codesAt(matrix: u32, i: u32) -> vec4<u32> {
  if (matrix == 1u) { return codes1[i]; }
  return codes0[i];
}

fn keep(matrix: u32, i: u32, y: f32) {
  if (matrix == 1u) { out1[i] = y; } else { out0[i] = y; }
}
