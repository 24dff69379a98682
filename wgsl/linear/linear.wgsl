// Dense matrices times float rows.
//
// Plain loop:   out[row][output] = factor * sum over c of weight[output][c] * x[row][c]
//
// What the fast form adds:
// 1. Lanes that share rows, in one fixed order of additions (shared/dense-dots.wgsl): that of `logits`.
// 2. Matrices that share their input go in one dispatch (shared/matrices.wgsl).
// 3. A matrix larger than a binding comes in parts of whole rows, a dispatch each.
//
// Constants: those of shared/units.wgsl and shared/dense-dots.wgsl. Preconditions: columns a multiple of 4; x is none of the
// results.

struct Params {
  units: u32, // of a row
  rows: u32, // of x
  before: u32, // outputs of the matrix that come before this part
  rest: u32, // outputs of its other parts
  outputs0: u32,
  outputs1: u32,
  outputs2: u32,
  base0: u32,
  base1: u32,
  base2: u32,
  scale0: f32, // what multiplies a matrix
  scale1: f32,
  scale2: f32,
  scalesAt0: u32, // words
  scalesAt1: u32,
  scalesAt2: u32,
}

const FIRST = 2; // binding of the weights

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (rows, columns)
@group(0) @binding(FIRST) var<storage, read> table: array<vec2<u32>>; // (outputs, columns) of each matrix, and their scales

fn storedOf(matrix: u32) -> Stored {
  if matrix == 0u { return Stored(params.base0, params.scalesAt0); }
  if matrix == 1u { return Stored(params.base1, params.scalesAt1); }
  return Stored(params.base2, params.scalesAt2);
}

@compute @workgroup_size(256)
fn linear(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, GROUPS * ROWS);
  let firstX = group.y * TILE;
  let rows = Range(share.first + thread / LANES * ROWS, share.outputs - 1u);
  sumLanes(thread, storedOf(share.matrix), rows, Range(firstX, params.rows - 1u), params.units);
  workgroupBarrier();

  let output = share.first + thread / TILE;
  let row = firstX + thread % TILE;
  if thread < RESULTS && output < share.outputs && row < params.rows {
    keep(share.matrix, row * (share.outputs + params.rest) + params.before + output, resultOf(thread) * share.scale);
  }
}
