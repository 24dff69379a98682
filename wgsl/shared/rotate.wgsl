// Rotary embedding of one pair by (cosine, sine). fma, so that rope-store and ternary-row give the same bits. Constants: ADJACENT, 1
// where elements 2i and 2i + 1 of a head make pair i, 0 where i and i + half do.

/** The first element of pair i of a head. */
fn pairAt(i: u32) -> u32 { return select(i, 2u * i, ADJACENT == 1u); }

/** From the first element of a pair to the second. */
fn pairStep(half: u32) -> u32 { return select(half, 1u, ADJACENT == 1u); }

fn rotated(a: f32, b: f32, angle: vec2<f32>) -> vec2<f32> {
  return vec2(fma(a, angle.x, -(b * angle.y)), fma(b, angle.x, a * angle.y));
}
