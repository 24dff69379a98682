// Softmax by chunks of positions: what a chunk leaves, and how two become one. Chunks are folded in the order of their
// positions, with the same arithmetic whether one workgroup walks them or `combine` reads them from memory.

struct Chunk {
  most: f32, // largest score
  sum: f32, // of e^(score - most)
  mix: vec4<f32>, // four columns of the sum of e^(score - most) * value
}

fn fold(a: Chunk, b: Chunk) -> Chunk {
  let most = max(a.most, b.most);
  let fa = exp(a.most - most);
  let fb = exp(b.most - most);
  return Chunk(most, fma(a.sum, fa, b.sum * fb), fma(a.mix, vec4(fa), b.mix * fb));
}
