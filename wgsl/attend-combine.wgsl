// Merges the chunks of a row and head; a thread takes four columns.

const CHUNK = 128u;

struct Params {
  heads: u32,
  columns: u32, // headDim / 4
  chunks: u32, // of the longest row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>; // (rows, heads, chunks, columns + 1)
@group(0) @binding(2) var<storage, read> positions: array<i32>; // (rows)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (rows, heads, columns)

fn chunkAt(start: u32, column: u32) -> Chunk {
  let facts = partials[start + params.columns];
  return Chunk(facts.x, facts.y, partials[start + column]);
}

@compute @workgroup_size(64)
fn combine(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  let head = at.x / params.columns;
  let column = at.x % params.columns;
  if head >= params.heads {
    return;
  }
  let rowAndHead = row * params.heads + head;
  let start = rowAndHead * params.chunks * (params.columns + 1u);
  var all = chunkAt(start, column);
  for (var c = 1u; c <= u32(positions[row]) / CHUNK; c++) {
    all = merged(all, chunkAt(start + c * (params.columns + 1u), column));
  }
  out[rowAndHead * params.columns + column] = all.mix / all.sum;
}
