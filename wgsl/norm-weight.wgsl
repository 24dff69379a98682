// The weight of a norm, (width) in the file's own type.

override TYPE: u32; // 0: F32, 1: F16, 2: BF16

@group(0) @binding(1) var<storage, read> weight: array<u32>;

/** elements 4i .. 4i+3 */
fn weightAt(i: u32) -> vec4<f32> {
  if (TYPE == 0u) {
    return bitcast<vec4<f32>>(vec4(weight[4u * i], weight[4u * i + 1u], weight[4u * i + 2u], weight[4u * i + 3u]));
  }
  let low = weight[2u * i];
  let high = weight[2u * i + 1u];
  if (TYPE == 1u) { return vec4(unpack2x16float(low), unpack2x16float(high)); }
  return bitcast<vec4<f32>>(vec4(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}
