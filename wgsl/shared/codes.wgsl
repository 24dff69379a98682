// The codes of up to three ternary matrices. Another file defines `FIRST`, their binding, and `params` with base0..2, where each
// matrix begins.

@group(0) @binding(FIRST) var<storage, read> codes: array<vec4<u32>>; // (outputs, columns / 64) of each matrix

fn codesAt(matrix: u32, i: u32) -> vec4<u32> {
  return codes[select(select(params.base0, params.base1, matrix == 1u), params.base2, matrix == 2u) + i];
}
