// What the chunks that `attendSplit` left of a row and head add up to.
//
// Plain loop:   all = chunk 0;  all = fold(all, chunk c) for each next chunk of the row;  out = all.mix / all.sum
//
// What the fast form adds: a thread takes four columns, and asks for 8 chunks before it folds the first of them
// (shared/partials.wgsl). For a single row of up to 8 chunks ternary-row does the same in its own dispatch.
//
// Constants: CHUNK, positions. Preconditions: `partials` holds chunks 0 .. position / CHUNK of every row.

struct Params {
  heads: u32,
  columns: u32, // headDim / 4
  chunks: u32, // of the longest row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>; // (rows, heads, chunks, columns + 1)
@group(0) @binding(2) var<storage, read> positions: array<i32>; // (rows)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (rows, heads, columns)

@compute @workgroup_size(64)
fn combine(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  let head = at.x / params.columns;
  let column = at.x % params.columns;
  if head >= params.heads {
    return;
  }
  let rowAndHead = row * params.heads + head;
  let last = u32(positions[row]) / CHUNK;
  out[rowAndHead * params.columns + column] = mixOf(rowAndHead, params.chunks, params.columns, column, last);
}
