// activation(g) of the feed-forward gate, in float32: relu(g)^2 * up overflows f16. Constants: SILU, 1 for silu, 0 for relu2.

fn activated(g: vec4<f32>) -> vec4<f32> {
  if (SILU == 1u) {
    // sigmoid(g) = 1 / (1 + e) for g >= 0, e / (1 + e) for g < 0, e = exp(-|g|): nothing overflows
    let e = exp(-abs(g));
    return g * (select(e, vec4(1.0), g >= vec4(0.0)) / (1.0 + e));
  }
  let p = select(g, vec4(0.0), g < vec4(0.0)); // not max, which may lose a NaN
  return p * p;
}
