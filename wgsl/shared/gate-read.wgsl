// `taken` of norm-quantize: activation(gates) * up, kept nowhere. Another file defines `FIRST`, the first of its bindings.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>; // (rows, width)
@group(0) @binding(FIRST + 1) var<storage, read> gates: array<vec4<f32>>; // (rows, width)

fn taken(i: u32) -> vec4<f32> { return activated(gates[i]) * up[i]; }
