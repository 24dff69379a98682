// Logits: the dense table of the vocabulary times rows.
//
// Plain loop:   out[j][i] = sum over c of table[i][c] * x[j][c]
//
// What the fast form adds:
// 1. 32 lanes share ROWS table rows: lane l sums columns 4l .. 4l + 3, 4(l + 32) .. and so on, one column after the other; then
//    one thread adds the 32 sums of a result in the order of the lanes. 4.3 TB/s for one row of x on an H200, F16.
// 2. TILE rows of x share the loads of a table row.
// 3. That order of additions is the same for any number of rows, and every product is added by fma, so that no compiler fuses
//    one variant and not the other: a row's bits do not depend on its batch.
// 4. A table larger than a binding comes in parts of whole rows, a dispatch each.
//
// Constants: TYPE (shared/dense.wgsl); TILE; ROWS. Preconditions: columns a multiple of 4; GROUPS * ROWS * TILE at most 256.

const LANES = 32u;
const GROUPS = 8u; // of lanes, in a workgroup

struct Params {
  quads: u32, // columns / 4
  count: u32, // table rows of the part
  first: u32, // row of the whole table that the part begins with
  vocabulary: u32, // rows of the whole table
  rows: u32, // of x
  before: u32, // rows of x that come first
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec2<u32>>; // (count, columns)
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>; // (before + rows, quads)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (rows, vocabulary)

var<workgroup> sums: array<f32, LANES * GROUPS * ROWS * TILE>; // (GROUPS * ROWS, TILE, LANES)

fn quad(i: u32) -> vec4<f32> {
  if TYPE == F32 {
    return vec4(bitcast<vec2<f32>>(table[2u * i]), bitcast<vec2<f32>>(table[2u * i + 1u]));
  }
  let words = table[i];
  return vec4(unpackPair(words.x), unpackPair(words.y));
}

@compute @workgroup_size(256)
fn logits(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let firstRow = group.x * GROUPS * ROWS; // of the workgroup
  let ownRow = firstRow + thread / LANES * ROWS; // of the lane's rows
  let firstX = group.y * TILE;

  var acc: array<array<f32, TILE>, ROWS>;
  for (var q = lane; q < params.quads; q += LANES) {
    var w: array<vec4<f32>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      w[r] = quad(min(ownRow + r, params.count - 1u) * params.quads + q);
    }
    for (var j = 0u; j < TILE; j++) {
      let a = x[(params.before + min(firstX + j, params.rows - 1u)) * params.quads + q];
      for (var r = 0u; r < ROWS; r++) {
        acc[r][j] = fma(w[r].w, a.w, fma(w[r].z, a.z, fma(w[r].y, a.y, fma(w[r].x, a.x, acc[r][j]))));
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var j = 0u; j < TILE; j++) {
      sums[((thread / LANES * ROWS + r) * TILE + j) * LANES + lane] = acc[r][j];
    }
  }
  workgroupBarrier();

  if thread < GROUPS * ROWS * TILE {
    let row = firstRow + thread / TILE;
    let j = firstX + thread % TILE;
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
      sum += sums[thread * LANES + l];
    }
    if row < params.count && j < params.rows {
      out[j * params.vocabulary + params.first + row] = sum;
    }
  }
}
