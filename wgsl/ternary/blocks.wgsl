// Ternary matrices with a scale for each block of 256 columns times int8 rows, few of them (decode).
//
// Plain loop:   y = sum over blocks b of f32(sum over c in b of (code[output][c] - 1) * x[row][c]) * blockScale[output][b]
//               out[row][output] = y * (scale * scale of x[row])
//
// What the fast form adds to ternary.wgsl: the exact sums of blocks meet in workgroup memory, then one thread a result adds them
// in the order of shared/block-scales.wgsl. Codes become signed, since a block has no sum of activations to subtract.
//
// Constants: BATCH, 1, 2 or 4; BLOCKS, columns / 256. Preconditions: columns a multiple of 256.

const TEAM = 16u;
const TEAMS = 8u;

@group(0) @binding(1) var<storage, read> values: array<vec4<u32>>; // (rows, columns) int8

var<workgroup> blockSums: array<atomic<i32>, TEAMS * BATCH * BLOCKS>; // (TEAMS, BATCH, BLOCKS)

fn dotRow(row: u32, i: u32, codes: vec4<u32>) -> i32 {
  // half of 128 columns: 4 words of each of the 4 quarters
  let at = row * 4u * params.quads + 8u * (i >> 1u) + (i & 1u);
  var sum = 0;
  for (var quarter = 0u; quarter < 4u; quarter++) {
    let c = signedCodes((codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u));
    let x = values[at + 2u * quarter];
    sum += dot4I8Packed(c.x, x.x) + dot4I8Packed(c.y, x.y) + dot4I8Packed(c.z, x.z) + dot4I8Packed(c.w, x.w);
  }
  return sum;
}

@compute @workgroup_size(128)
fn ternaryBlocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, TEAMS);
  let output = min(share.first + thread / TEAM, share.outputs - 1u);
  let first = group.y * BATCH;
  let last = params.rows - 1u;

  for (var i = thread % TEAM; i < params.quads; i += TEAM) {
    let codes = codesAt(share.matrix, output * params.quads + i);
    for (var b = 0u; b < BATCH; b++) {
      let sum = dotRow(min(first + b, last), i, codes);
      atomicAdd(&blockSums[(thread / TEAM * BATCH + b) * BLOCKS + i / BLOCK_QUADS], sum); // integers: any order
    }
  }
  workgroupBarrier();

  let team = thread / BATCH;
  let row = first + thread % BATCH;
  if team >= TEAMS || row > last || share.first + team >= share.outputs { return; }
  var y = 0.0;
  for (var block = 0u; block < BLOCKS; block++) {
    let sum = f32(atomicLoad(&blockSums[thread * BLOCKS + block]));
    y = fma(sum, blockScale(share.matrix, (share.first + team) * BLOCKS + block), y);
  }
  storeScaled(share, share.first + team, row, y);
}
