// The codes of all matrices of a ternary op, which lie in one buffer. `params` has base0..2, where each matrix begins.

@group(0) @binding(FIRST) var<storage, read> codes: array<vec4<u32>>; // (outputs, columns / 64) of each matrix

fn codesAt(matrix: u32, i: u32) -> vec4<u32> {
  return codes[select(select(params.base0, params.base1, matrix == 1u), params.base2, matrix == 2u) + i];
}
