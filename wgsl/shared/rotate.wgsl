// Rotary embedding of one pair by (cosine, sine). fma, so that rope-store and ternary-row give the same bits.

fn rotated(a: f32, b: f32, angle: vec2<f32>) -> vec2<f32> {
  return vec2(fma(a, angle.x, -(b * angle.y)), fma(b, angle.x, a * angle.y));
}
