// activation(gate) * up, kept in `gate`: WebGPU allows no second binding of a buffer that is written.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(FIRST + 1) var<storage, read_write> gate: array<vec4<f32>>;

fn taken(i: u32) -> vec4<f32> {
  let product = activated(gate[i]) * up[i];
  gate[i] = product;
  return product;
}
