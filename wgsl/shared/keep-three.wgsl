// The results of three matrices. Bindings follow that of the weights, FIRST.

@group(0) @binding(FIRST + 1) var<storage, read_write> out0: array<f32>; // (rows, outputs0)
@group(0) @binding(FIRST + 2) var<storage, read_write> out1: array<f32>; // (rows, outputs1)
@group(0) @binding(FIRST + 3) var<storage, read_write> out2: array<f32>; // (rows, outputs2)

fn keep(matrix: u32, i: u32, y: f32) {
  if (matrix == 2u) { out2[i] = y; } else if (matrix == 1u) { out1[i] = y; } else { out0[i] = y; }
}
