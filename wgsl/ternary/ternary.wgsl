// Ternary matrices times int8 rows, few of them (decode).
//
// Plain loop:   sum = sum over c of (code[output][c] - 1) * x[row][c];  out[row][output] = f32(sum) * (scale * scale of x[row])
//
// What the fast form adds:
// 1. sum (code - 1) x = sum code x - sum x, and sum x is known from the quantisation: the codes stay unsigned.
// 2. dot4I8Packed multiplies four codes with four activations, once the codes' two bits are shifted into bytes. Sums are exact
//    integers, whatever their order: all forms give the same bits.
// 3. A team of 16 threads takes one output, 8 teams a workgroup: a team's loads are 256 neighbouring bytes.
// 4. Up to BATCH rows share the codes that are loaded.
// 5. Matrices that share their input go in one dispatch (shared/matrices.wgsl).
//
// Constants: BATCH, 1, 2 or 4. Preconditions: columns a multiple of 128.

const TEAM = 16u;
const TEAMS = 8u;

@group(0) @binding(1) var<storage, read> values: array<vec4<u32>>; // (rows, columns) int8

var<workgroup> teamSums: array<vec4<i32>, 128>;

fn dotRow(row: u32, i: u32, codes: vec4<u32>) -> i32 {
  // half a block: 4 words of each of the 4 quarters
  let at = row * 4u * params.quads + 8u * (i >> 1u) + (i & 1u);
  var sum = 0;
  for (var quarter = 0u; quarter < 4u; quarter++) {
    let c = (codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u);
    let x = values[at + 2u * quarter];
    sum += dot4I8Packed(c.x, x.x) + dot4I8Packed(c.y, x.y) + dot4I8Packed(c.z, x.z) + dot4I8Packed(c.w, x.w);
  }
  return sum;
}

@compute @workgroup_size(128)
fn ternary(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, TEAMS);
  let output = min(share.first + thread / TEAM, share.outputs - 1u);
  let first = group.y * BATCH;
  let last = params.rows - 1u;

  var acc = vec4<i32>();
  for (var i = thread % TEAM; i < params.quads; i += TEAM) {
    let codes = codesAt(share.matrix, output * params.quads + i);
    acc.x += dotRow(first, i, codes);
    if (BATCH > 1u) { acc.y += dotRow(min(first + 1u, last), i, codes); }
    if (BATCH > 2u) {
      acc.z += dotRow(min(first + 2u, last), i, codes);
      acc.w += dotRow(min(first + 3u, last), i, codes);
    }
  }
  teamSums[thread] = acc;
  workgroupBarrier();

  let team = thread / BATCH;
  let row = first + thread % BATCH;
  if (team >= TEAMS || row > last || share.first + team >= share.outputs) { return; }
  var sum = 0;
  for (var i = 0u; i < TEAM; i++) { sum += teamSums[team * TEAM + i][thread % BATCH]; }
  store(share, share.first + team, row, sum);
}
