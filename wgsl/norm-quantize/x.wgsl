// What norm-quantize takes: the elements of a tensor.

@group(0) @binding(FIRST) var<storage, read> x: array<vec4<f32>>; // (rows, width)

fn taken(i: u32) -> vec4<f32> { return x[i]; }
