// activation(gate) * up, kept nowhere.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(FIRST + 1) var<storage, read> gates: array<vec4<f32>>;

fn taken(i: u32) -> vec4<f32> { return activated(gates[i]) * up[i]; }
