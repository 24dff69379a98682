// Ternary matrices times int8 activations: up to three matrices that share their input, in one dispatch.
//
// Plain loop:   sum = sum over c of code[output][c] * x[c] - sum over c of x[c]
//               out[output] = f32(sum) * (scale * scale of x)
//
// Codes are as the file has them: blocks of 128 in 8 words; bits 7-6 of the bytes of word w meet word w of the
// activations, bits 5-4 word 8 + w, bits 3-2 word 16 + w, bits 1-0 word 24 + w. Sums are exact integers.
// Preconditions: columns a multiple of 128.

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
}

const FIRST = 4; // binding of the codes

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> scales: array<f32>; // (rows) of x
@group(0) @binding(3) var<storage, read> sums: array<i32>;   // (rows) of x

fn store(share: Share, output: u32, row: u32, sum: i32) {
  let y = f32(sum - sums[row]) * (share.scale * scales[row]);
  keep(share.matrix, row * share.outputs + output, y);
}
