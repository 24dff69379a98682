// activation(gate) * up, kept in `gates`: WebGPU allows no second binding of a buffer that is written.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(FIRST + 1) var<storage, read_write> gates: array<vec4<f32>>;

fn taken(i: u32) -> vec4<f32> {
  let product = activated(gates[i]) * up[i];
  gates[i] = product;
  return product;
}
