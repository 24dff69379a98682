// What the chunks of a row and head left, folded in their order. Another file binds `partials`: (rows, heads, chunks,
// columns + 1) vectors, the last one's x the largest score, y the sum.

const BATCH = 8u; // chunks whose loads do not wait for their folding

fn chunkAt(start: u32, columns: u32, column: u32) -> Chunk {
  let facts = partials[start + columns];
  return Chunk(facts.x, facts.y, partials[start + column]);
}

/** One column's mix over chunks 0..last of a row and head; `chunks` of each row and head are in `partials`. */
fn mixOf(rowAndHead: u32, chunks: u32, columns: u32, column: u32, last: u32) -> vec4<f32> {
  let start = rowAndHead * chunks * (columns + 1u);
  var all = chunkAt(start, columns, column);
  for (var first = 1u; first <= last; first += BATCH) {
    var next: array<Chunk, BATCH>;
    for (var c = 0u; c < BATCH; c++) {
      next[c] = chunkAt(start + min(first + c, last) * (columns + 1u), columns, column);
    }
    for (var c = 0u; c < BATCH; c++) {
      if first + c <= last { all = fold(all, next[c]); }
    }
  }
  return all.mix / all.sum;
}
