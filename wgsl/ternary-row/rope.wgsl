// `finish` of ternary-row: queries, keys and values. A team makes one pair of one head (shared/rotate.wgsl), so that those of
// queries and keys can be rotated; keys and values are stored in the cache too, as `ropeStore` does.
// Preconditions: OUTPUTS 2; half a multiple of 16; the cache has a block for the row's position.

const MADE = 2u * TEAMS; // of a workgroup

@group(0) @binding(FIRST + 4) var<storage, read> tables: CacheTables;      // (SLOTS, SLOT_BLOCKS) blocks, (positions, half) angles
@group(0) @binding(FIRST + 5) var<storage, read> places: array<i32>;       // the row's slot first
@group(0) @binding(FIRST + 6) var<storage, read_write> keys: array<f32>;   // (blocks, kvHeads, BLOCK, headDim)
@group(0) @binding(FIRST + 7) var<storage, read_write> cached: array<f32>; // values, alike

var<private> position: u32;
var<private> block: u32; // of the cache, where the position is
var<private> angle: vec2<f32>; // of the thread's pair

/** A team's pair, counted over all heads. */
fn pairOf(first: u32, team: u32) -> u32 { return first / 2u + team; }

/** The first element of a pair. */
fn firstOf(pair: u32) -> u32 { return pair / params.half * 2u * params.half + pairAt(pair % params.half); }

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  let share = shareOf(group, MADE);
  return Place(share.matrix, firstOf(pairOf(share.first, team)) + i * pairStep(params.half));
}

fn prepare(group: u32, thread: u32) {
  let pair = pairOf(shareOf(group, MADE).first, thread % TEAMS);
  position = u32(places[params.positionAt]);
  block = blockOf(u32(places[0]), position);
  angle = tables.angles[position * params.half + pair % params.half];
}

fn finish(group: u32, thread: u32, scale: f32) {
  if thread >= TEAMS { return; }
  let share = shareOf(group, MADE);
  let headDim = 2u * params.half;
  let output = firstOf(pairOf(share.first, thread));
  let step = pairStep(params.half);
  let unit = share.scale * scale;
  let a = teamTotal(group, thread, 0u) * unit;
  let b = teamTotal(group, thread, 1u) * unit;
  var pair = vec2(a, b);
  if share.matrix < 2u {
    pair = rotated(a, b, angle);
  }
  keep(share.matrix, output, pair.x);
  keep(share.matrix, output + step, pair.y);
  if share.matrix == 0u { return; }
  let cache = CacheShape(params.outputs1 / headDim, headDim);
  let to = cacheAt(cache, block, output / headDim, position) + output % headDim;
  if share.matrix == 1u {
    keys[to] = pair.x;
    keys[to + step] = pair.y;
  } else {
    cached[to] = pair.x;
    cached[to + step] = pair.y;
  }
}
