// What ternary-row takes: the row that chunks of attention add up to, as `combine` makes it; it is left in `context`.
// Constants: HEAD_COLUMNS, headDim / 4; CHUNK, positions.

const FIRST = 9; // binding of the codes

@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>; // (heads, chunks, HEAD_COLUMNS + 1)
@group(0) @binding(7) var<storage, read> positions: array<i32>;      // (1)
@group(0) @binding(8) var<storage, read_write> context: array<vec4<f32>>; // (columns)

fn taken(i: u32) -> vec4<f32> {
  return mixOf(i / HEAD_COLUMNS, params.chunks, HEAD_COLUMNS, i % HEAD_COLUMNS, u32(positions[0]) / CHUNK);
}

fn keepTaken(i: u32, v: vec4<f32>) { context[i] = v; }
