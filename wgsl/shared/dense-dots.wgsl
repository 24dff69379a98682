// Dots of rows of a dense weight (units.wgsl) with rows of x, by a workgroup of 256 threads: what logits and linear share, so that
// both add in one order. Another file binds `x`.
//
// 32 lanes share ROWS rows of the weight: lane l sums units l, l + 32, and so on, one column after the other; then one thread adds
// the 32 sums of a result in the order of the lanes. TILE rows of x share the loads of a row. Every product is added by fma, so
// that no compiler fuses one variant and not the other: a row's bits do not depend on its batch.
//
// With STEPS a lane asks for that many units of a row before it multiplies the first, and adds them in the same order: a matrix has
// too few rows to hide the way to memory otherwise, a table of the vocabulary has enough.
//
// Constants: TILE; ROWS; STEPS. Preconditions: GROUPS * ROWS * TILE at most 256.

const LANES = 32u;
const GROUPS = 8u; // of lanes, in a workgroup
const RESULTS = GROUPS * ROWS * TILE; // of a workgroup

var<workgroup> sums: array<f32, LANES * RESULTS>; // (GROUPS * ROWS, TILE, LANES)

/** Rows from `first` on; for what lies beyond the last one, the last one is taken. */
struct Range {
  first: u32,
  last: u32,
}

/** Leaves a lane's sums of its group's ROWS rows with TILE rows of x; `units` of a row. */
fn sumLanes(thread: u32, stored: Stored, rows: Range, xs: Range, units: u32) {
  let lane = thread % LANES;
  var acc: array<array<f32, TILE>, ROWS>;
  for (var first = lane; first < units; first += LANES * STEPS) {
    var w: array<array<Unit, ROWS>, STEPS>;
    for (var s = 0u; s < STEPS; s++) {
      let u = min(first + LANES * s, units - 1u);
      for (var r = 0u; r < ROWS; r++) { w[s][r] = unitAt(stored, min(rows.first + r, rows.last) * units + u); }
    }
    for (var s = 0u; s < STEPS; s++) {
      let u = first + LANES * s;
      if u >= units { break; }
      for (var k = 0u; k < UNIT; k++) {
        var q: array<vec4<f32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) { q[r] = quadOf(w[s][r], k); }
        for (var j = 0u; j < TILE; j++) {
          let a = x[(min(xs.first + j, xs.last) * units + u) * UNIT + k];
          for (var r = 0u; r < ROWS; r++) {
            acc[r][j] = fma(q[r].w, a.w, fma(q[r].z, a.z, fma(q[r].y, a.y, fma(q[r].x, a.x, acc[r][j]))));
          }
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var j = 0u; j < TILE; j++) {
      sums[((thread / LANES * ROWS + r) * TILE + j) * LANES + lane] = acc[r][j];
    }
  }
}

/** Result `i`, of row i / TILE of the workgroup's and row i % TILE of x; after a barrier. */
fn resultOf(i: u32) -> f32 {
  var sum = 0.0;
  for (var l = 0u; l < LANES; l++) { sum += sums[i * LANES + l]; }
  return sum;
}
