// The weight of a norm, (width) in the file's own type. Constants: TYPE, 0 for F32, 1 for F16, 2 for BF16.

@group(0) @binding(1) var<storage, read> weight: array<vec2<u32>>;

/** elements 4i .. 4i+3 */
fn weightAt(i: u32) -> vec4<f32> {
  if (TYPE == 0u) { return bitcast<vec4<f32>>(vec4(weight[2u * i], weight[2u * i + 1u])); }
  let words = weight[i];
  if (TYPE == 1u) { return vec4(halvesOf(words.x), halvesOf(words.y)); }
  return bitcast<vec4<f32>>(vec4(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
