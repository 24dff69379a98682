// The weight of a norm, (width) in the file's own type (dense.wgsl).

@group(0) @binding(1) var<storage, read> weight: array<vec2<u32>>; // (width / 4) of 16-bit floats, (width / 2) of f32

/** elements 4i .. 4i+3 */
fn weightAt(i: u32) -> vec4<f32> {
  if TYPE == F32 { return bitcast<vec4<f32>>(vec4(weight[2u * i], weight[2u * i + 1u])); }
  let words = weight[i];
  return vec4(unpackPair(words.x), unpackPair(words.y));
}
