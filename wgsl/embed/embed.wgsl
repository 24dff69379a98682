// The rows of tokens in the table of the vocabulary.
//
// Plain loop:   out[row][c] = table[token of row][c]
//
// What the fast form adds:
// 1. A thread takes two columns, which are one word of 16-bit values.
// 2. A table larger than a binding comes in parts of whole rows, a dispatch each, which leaves tokens of other parts alone.
//
// Preconditions: an even number of columns; tokens below the table's rows, or -1 where `sample` chose one for the slot.

struct Params {
  pairs: u32, // columns / 2
  first: u32, // table row that the part begins with
  count: u32, // table rows of the part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>; // (count, columns)
@group(0) @binding(2) var<storage, read> tokens: array<i32>; // (rows), -1: sampled[slot]
@group(0) @binding(3) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(4) var<storage, read> sampled: array<i32>; // (slots)
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>; // (rows, pairs)

@compute @workgroup_size(64)
fn embed(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  var token = tokens[row];
  if token < 0 {
    token = sampled[slots[row]];
  }
  let local = u32(token) - params.first; // wraps to a large number below `first`
  if at.x >= params.pairs || local >= params.count {
    return;
  }
  let i = local * params.pairs + at.x;
  if TYPE == F32 {
    out[row * params.pairs + at.x] = vec2(bitcast<f32>(table[2u * i]), bitcast<f32>(table[2u * i + 1u]));
  } else {
    out[row * params.pairs + at.x] = unpackPair(table[i]);
  }
}
