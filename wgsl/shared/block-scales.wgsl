// Scales of blocks of 256 columns, after the codes of their matrix (codes.wgsl): of `params` scalesAt0..2 say at which word.
// A result is the sum over blocks, in their order, of f32(exact sum of the block) * its scale, added by fma: so all forms of a
// kernel give the same bits.

const BLOCK_QUADS = 4u; // vec4<u32> of codes in a block

/** Scale `i` of (outputs, blocks). */
fn blockScale(matrix: u32, i: u32) -> f32 {
  let at = select(select(params.scalesAt0, params.scalesAt1, matrix == 1u), params.scalesAt2, matrix == 2u) + i;
  return bitcast<f32>(codes[at / 4u][at % 4u]);
}

/** Codes 0, 1, 2 in bytes as -1, 0, 1: blocks have no sums of activations to subtract. */
fn signedCodes(c: vec4<u32>) -> vec4<u32> { return (c + vec4(0x7f7f7f7fu)) ^ vec4(0x80808080u); }
