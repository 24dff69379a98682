// The rows of tokens in the table of the vocabulary.
//
// Plain loop:   out[row][c] = table[token of row][c]
//
// What the fast form adds:
// 1. A thread takes four columns (shared/units.wgsl).
// 2. A table larger than a binding comes in parts of whole rows, a dispatch each, which leaves tokens of other parts alone.
//
// Preconditions: columns a multiple of 4; tokens below the table's rows, or -1 where `sample` chose one for the slot.

struct Params {
  quads: u32, // columns / 4
  first: u32, // table row that the part begins with
  count: u32, // table rows of the part
  scalesAt: u32, // word of the part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec2<u32>>; // (count, columns), and their scales
@group(0) @binding(2) var<storage, read> tokens: array<i32>; // (rows), -1: sampled[slot]
@group(0) @binding(3) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(4) var<storage, read> sampled: array<i32>; // (slots)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // (rows, quads)

@compute @workgroup_size(64)
fn embed(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  var token = tokens[row];
  if token < 0 {
    token = sampled[slots[row]];
  }
  let local = u32(token) - params.first; // wraps to a large number below `first`
  if at.x >= params.quads || local >= params.count {
    return;
  }
  let i = local * params.quads + at.x;
  out[row * params.quads + at.x] = quadOf(unitAt(Stored(0u, params.scalesAt), i / UNIT), i % UNIT);
}
