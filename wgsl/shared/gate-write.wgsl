// `taken` of gate and norm-quantize: activation(gates) * up, kept in `gated`, another buffer than `gates`. Another file defines
// `FIRST`, the first of its bindings.

@group(0) @binding(FIRST) var<storage, read> up: array<vec4<f32>>; // (rows, width)
@group(0) @binding(FIRST + 1) var<storage, read> gates: array<vec4<f32>>; // (rows, width)
@group(0) @binding(FIRST + 2) var<storage, read_write> gated: array<vec4<f32>>; // (rows, width)

fn taken(i: u32) -> vec4<f32> {
  let product = activated(gates[i]) * up[i];
  gated[i] = product;
  return product;
}
