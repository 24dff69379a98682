// Logits: the dense table of the vocabulary times rows.
//
// Plain loop:   out[j][i] = sum over c of table[i][c] * x[j][c]
//
// What the fast form adds:
// 1. Lanes that share rows, in one fixed order of additions (shared/dense-dots.wgsl). 4.3 TB/s for one row of x on an H200, F16.
// 2. A table larger than a binding comes in parts of whole rows, a dispatch each.
//
// Constants: those of shared/units.wgsl and shared/dense-dots.wgsl. Preconditions: columns a multiple of 4.

struct Params {
  units: u32, // of a row
  count: u32, // table rows of the part
  first: u32, // row of the whole table that the part begins with
  vocabulary: u32, // rows of the whole table
  rows: u32, // of x
  before: u32, // rows of x that come first
  scalesAt: u32, // word of the part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec2<u32>>; // (count, columns), and their scales
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>; // (before + rows, columns)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (rows, vocabulary)

@compute @workgroup_size(256)
fn logits(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let firstRow = group.x * GROUPS * ROWS; // of the workgroup
  let firstX = group.y * TILE;
  let rows = Range(firstRow + thread / LANES * ROWS, params.count - 1u);
  let xs = Range(params.before + firstX, params.before + params.rows - 1u);
  sumLanes(thread, Stored(0u, params.scalesAt), rows, xs, params.units);
  workgroupBarrier();

  let row = firstRow + thread / TILE;
  let j = firstX + thread % TILE;
  if thread < RESULTS && row < params.count && j < params.rows {
    out[j * params.vocabulary + params.first + row] = resultOf(thread);
  }
}
