// What all forms of `ternary` are given, and what they do with a sum: up to three matrices that share their input x.
//
// Layout of the codes, as the file has them: blocks of 128 columns in 8 words; bits 7-6 of the bytes of word w meet word w of
// the activations, bits 5-4 word 8 + w, bits 3-2 word 16 + w, bits 1-0 word 24 + w. Code 0, 1, 2 is weight -1, 0, +1.

struct Params {
  quads: u32, // columns / 64: vec4<u32> of codes in a row
  rows: u32,  // of the batch
  outputs0: u32,
  outputs1: u32,
  outputs2: u32,
  base0: u32,
  base1: u32,
  base2: u32,
  scale0: f32,
  scale1: f32,
  scale2: f32,
  scalesAt0: u32, // words, where blocks have scales (shared/block-scales.wgsl)
  scalesAt1: u32,
  scalesAt2: u32,
}

const FIRST = 4; // binding of the codes

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> scales: array<f32>; // (rows) of x
@group(0) @binding(3) var<storage, read> sums: array<i32>;   // (rows) of x

/** out[row][output] from the sum of codes times activations. */
fn store(share: Share, output: u32, row: u32, sum: i32) {
  storeScaled(share, output, row, f32(sum - sums[row]));
}

/** The same from the sum of weights times activations. */
fn storeScaled(share: Share, output: u32, row: u32, sum: f32) {
  keep(share.matrix, row * share.outputs + output, sum * (share.scale * scales[row]));
}
