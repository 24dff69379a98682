// What ternary-row takes: a row in memory.

const FIRST = 7; // binding of the codes

@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>; // (columns)

fn taken(i: u32) -> vec4<f32> { return x[i]; }

fn keepTaken(i: u32, v: vec4<f32>) {}
