// The result of one matrix. Bindings follow that of the weights, FIRST.

@group(0) @binding(FIRST + 1) var<storage, read_write> out0: array<f32>; // (rows, outputs0)

fn keep(matrix: u32, i: u32, y: f32) { out0[i] = y; }
