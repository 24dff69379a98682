// Queries, keys and values of a single row: a workgroup makes 8 pairs of elements i and i + half of one head, so that it can
// rotate those of queries and keys. Preconditions: half a multiple of 8.

const OUTPUTS = 1u;
const AHEAD = 3u;
const PAIRS = 8u;

@group(0) @binding(FIRST + 6) var<storage, read> angles: array<vec2<f32>>; // (positions, half) cos, sin
@group(0) @binding(FIRST + 7) var<storage, read> positions: array<i32>;    // (1)

/** The first element of pair `i` of a workgroup. */
fn pairOf(first: u32, i: u32) -> u32 {
  let headDim = 2u * params.half;
  return first / headDim * headDim + first % headDim / 2u + i;
}

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  let share = shareOf(group, TEAMS);
  return Place(share.matrix, pairOf(share.first, team % PAIRS) + team / PAIRS * params.half);
}

fn finish(group: u32, thread: u32, scale: f32) {
  if thread >= PAIRS { return; }
  let share = shareOf(group, TEAMS);
  let output = pairOf(share.first, thread);
  let unit = share.scale * scale;
  let a = f32(teamTotal(thread, 0u)) * unit;
  let b = f32(teamTotal(thread + PAIRS, 0u)) * unit;
  var pair = vec2(a, b);
  if share.matrix < 2u {
    pair = rotated(a, b, angles[u32(positions[0]) * params.half + output % (2u * params.half)]);
  }
  keep(share.matrix, output, pair.x);
  keep(share.matrix, output + params.half, pair.y);
}
