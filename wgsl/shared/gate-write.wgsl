// activation(gate) * up, kept in `gated`, which is another buffer than `gates`.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(FIRST + 1) var<storage, read> gates: array<vec4<f32>>;
@group(0) @binding(FIRST + 2) var<storage, read_write> gated: array<vec4<f32>>;

fn taken(i: u32) -> vec4<f32> {
  let product = activated(gates[i]) * up[i];
  gated[i] = product;
  return product;
}
