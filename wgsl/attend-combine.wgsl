// Merges the chunks of a row and head; a thread takes four columns.

const CHUNK = 128u;
const BATCH = 8u; // chunks

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
  let last = u32(positions[row]) / CHUNK;
  var all = chunkAt(start, column);
  // loads of several chunks do not wait for their merging
  for (var first = 1u; first <= last; first += BATCH) {
    var next: array<Chunk, BATCH>;
    for (var c = 0u; c < BATCH; c++) { next[c] = chunkAt(start + min(first + c, last) * (params.columns + 1u), column); }
    for (var c = 0u; c < BATCH; c++) {
      if first + c <= last { all = merged(all, next[c]); }
    }
  }
  out[rowAndHead * params.columns + column] = all.mix / all.sum;
}
