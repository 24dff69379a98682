// Attention of up to ROWS rows and HEADS query heads that share a key-value head, over chunks of 128 positions; what a chunk
// leaves is merged in the order of the chunks. Every key and value is loaded once for all of these queries.
//
// A chunk, by 256 threads:
// 1. four threads share a position: thread l of them sums columns l, l + 4, ... of query . key, and the four sums are added;
// 2. the largest score, the exponentials and their sum, by 16 threads a query;
// 3. thread t mixes four columns over every GROUPS-th position, and the groups are added by halves.
// All loops have constant bounds, and what lies beyond a row is loaded from within the chunk and counts nothing: so loads do
// not wait for one another, and a query's bits do not depend on its company.
//
// Constants: COLUMNS, headDim / 4, at most 128; HEADS and ROWS, at most 16 together.

const CHUNK = 128u; // positions
const THREADS = 256u;
const QUERIES = ROWS * HEADS; // of a workgroup: row by row
const LANES = 4u; // threads that share a position
const POSITIONS = THREADS / LANES; // at a time
const SHARE = (COLUMNS + LANES - 1u) / LANES; // columns of a lane
const SUMMERS = 16u; // threads that reduce a query's scores
const GROUPS = THREADS / COLUMNS; // threads of a column
const MIXED = (CHUNK + GROUPS - 1u) / GROUPS; // positions of a thread
const LEAST = -3.4e38;

struct Params {
  rows: u32, // of the batch
  heads: u32,
  kvHeads: u32,
  capacity: u32, // positions of a slot
  chunks: u32, // of the longest row; for partials
  scale: f32, // 1 / sqrt(headDim)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // (rows, heads, COLUMNS)
@group(0) @binding(2) var<storage, read> keys: array<vec4<f32>>; // (slots, kvHeads, capacity, COLUMNS)
@group(0) @binding(3) var<storage, read> values: array<vec4<f32>>; // (slots, kvHeads, capacity, COLUMNS)
@group(0) @binding(4) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(5) var<storage, read> positions: array<i32>; // (rows)
// attend: (rows, heads, COLUMNS); attend chunks: (rows, heads, chunks, COLUMNS + 1), the last one's x most, y sum
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> query: array<vec4<f32>, QUERIES * SHARE * LANES>; // (QUERIES, columns), zeros behind the last column
var<workgroup> weights: array<f32, QUERIES * CHUNK>; // scores first
var<workgroup> parts: array<f32, QUERIES * SUMMERS>; // of a maximum or a sum
var<workgroup> most: array<f32, QUERIES>;
var<workgroup> sums: array<f32, QUERIES>;
var<workgroup> pool: array<vec4<f32>, QUERIES * CHUNK>; // scores of (QUERIES, positions) by lane, then mixes of (QUERIES, threads)

/** What a workgroup works on: some rows of one slot, and some heads of one key-value head. */
struct Share {
  row: u32, // the first of its rows
  head: u32, // the first of its heads
  heads: u32,
  start: u32, // of the key-value head in the cache
  lengths: array<u32, ROWS>, // positions of each row, 0 for one that is not there or in another slot
  longest: u32,
}

/** Rows from `row` to before `end` that are in the slot of `row`. */
fn shareOf(block: u32, row: u32, end: u32) -> Share {
  let group = params.heads / params.kvHeads;
  let blocks = (group + HEADS - 1u) / HEADS;
  let kvHead = block / blocks;
  let first = block % blocks * HEADS;
  let start = (u32(slots[row]) * params.kvHeads + kvHead) * params.capacity * COLUMNS;
  var share = Share(row, kvHead * group + first, min(HEADS, group - first), start, array<u32, ROWS>(), 0u);
  for (var r = 0u; r < ROWS; r++) {
    let other = min(row + r, params.rows - 1u);
    let mine = row + r < end && slots[other] == slots[row];
    share.lengths[r] = select(0u, u32(positions[other]) + 1u, mine);
    share.longest = max(share.longest, share.lengths[r]);
  }
  return share;
}

fn loadQueries(share: Share, thread: u32) {
  for (var i = thread; i < QUERIES * SHARE * LANES; i += THREADS) {
    let one = i / (SHARE * LANES);
    let column = i % (SHARE * LANES);
    let row = min(share.row + one / HEADS, params.rows - 1u);
    let head = share.head + min(one % HEADS, share.heads - 1u);
    query[i] = vec4(0.0);
    if column < COLUMNS { query[i] = q[(row * params.heads + head) * COLUMNS + column]; }
  }
  workgroupBarrier();
}

fn sumOf(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

/** Positions of a query in the chunk that begins at `first`. */
fn countOf(share: Share, one: u32, first: u32) -> u32 {
  return min(CHUNK, max(share.lengths[one / HEADS], first) - first);
}

/** The chunk that begins at position `first`, below `longest`; threads below COLUMNS get the mix of their column. */
fn chunkOf(share: Share, first: u32, thread: u32) -> array<Chunk, QUERIES> {
  let count = min(CHUNK, share.longest - first);
  let start = share.start + first * COLUMNS;

  let lane = thread % LANES;
  for (var step = 0u; step < CHUNK / POSITIONS; step++) {
    let p = POSITIONS * step + thread / LANES;
    let at = start + min(p, count - 1u) * COLUMNS;
    // said and not left to the compiler: one that was tried does not clear the array for the second step
    var scores = array<vec4<f32>, QUERIES>();
    for (var i = 0u; i < SHARE; i++) {
      let column = lane + LANES * i;
      let key = keys[at + min(column, COLUMNS - 1u)];
      for (var one = 0u; one < QUERIES; one++) {
        scores[one] = fma(query[one * SHARE * LANES + column], key, scores[one]);
      }
    }
    for (var one = 0u; one < QUERIES; one++) { pool[one * CHUNK + p][lane] = sumOf(scores[one]); }
  }
  workgroupBarrier();
  for (var i = thread; i < QUERIES * CHUNK; i += THREADS) {
    weights[i] = select(LEAST, sumOf(pool[i]) * params.scale, i % CHUNK < countOf(share, i / CHUNK, first));
  }
  workgroupBarrier();

  let summer = thread / SUMMERS * CHUNK + thread % SUMMERS; // its first weight
  if thread < QUERIES * SUMMERS {
    var largest = weights[summer];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { largest = max(largest, weights[summer + i]); }
    parts[thread] = largest;
  }
  workgroupBarrier();
  if thread < QUERIES {
    var largest = parts[thread * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { largest = max(largest, parts[thread * SUMMERS + i]); }
    most[thread] = largest;
  }
  workgroupBarrier();
  for (var i = thread; i < QUERIES * CHUNK; i += THREADS) {
    weights[i] = select(0.0, exp(weights[i] - most[i / CHUNK]), i % CHUNK < countOf(share, i / CHUNK, first));
  }
  workgroupBarrier();
  if thread < QUERIES * SUMMERS {
    var sum = weights[summer];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { sum += weights[summer + i]; }
    parts[thread] = sum;
  }

  let group = thread / COLUMNS;
  let column = thread % COLUMNS;
  var mixes = array<vec4<f32>, QUERIES>();
  for (var i = 0u; i < MIXED; i++) {
    let p = min(group + GROUPS * i, CHUNK - 1u);
    let value = values[start + min(p, count - 1u) * COLUMNS + column];
    let counts = group + GROUPS * i < CHUNK;
    for (var one = 0u; one < QUERIES; one++) {
      mixes[one] = fma(value, vec4(select(0.0, weights[one * CHUNK + p], counts)), mixes[one]);
    }
  }
  workgroupBarrier();
  if thread < QUERIES {
    var sum = parts[thread * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { sum += parts[thread * SUMMERS + i]; }
    sums[thread] = sum;
  }
  for (var n = GROUPS; n > 1u; n = (n + 1u) / 2u) {
    let half = (n + 1u) / 2u;
    if group >= half && group < n {
      for (var one = 0u; one < QUERIES; one++) { pool[one * CHUNK + (group - half) * COLUMNS + column] = mixes[one]; }
    }
    workgroupBarrier();
    if group + half < n {
      for (var one = 0u; one < QUERIES; one++) { mixes[one] += pool[one * CHUNK + thread]; }
    }
    workgroupBarrier();
  }
  var chunks: array<Chunk, QUERIES>;
  for (var one = 0u; one < QUERIES; one++) { chunks[one] = Chunk(most[one], sums[one], mixes[one]); }
  workgroupBarrier();
  return chunks;
}

/** A workgroup walks all chunks of its rows: together where they are in one slot, else one after the other. */
@compute @workgroup_size(THREADS)
fn attend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = group.y * ROWS;
  let end = min(first + ROWS, params.rows);
  var together = true;
  for (var row = first; row < end; row++) { together = together && slots[row] == slots[first]; }
  for (var row = first; row < end; row += select(1u, ROWS, together)) {
    walk(shareOf(group.x, row, select(row + 1u, end, together)), thread);
  }
}

fn walk(share: Share, thread: u32) {
  loadQueries(share, thread);
  var all = chunkOf(share, 0u, thread);
  for (var first = CHUNK; first < share.longest; first += CHUNK) {
    let next = chunkOf(share, first, thread);
    for (var one = 0u; one < QUERIES; one++) {
      if countOf(share, one, first) > 0u { all[one] = merged(all[one], next[one]); }
    }
  }
  for (var one = 0u; one < QUERIES; one++) {
    if share.lengths[one / HEADS] > 0u && one % HEADS < share.heads && thread < COLUMNS {
      let rowAndHead = (share.row + one / HEADS) * params.heads + share.head + one % HEADS;
      out[rowAndHead * COLUMNS + thread] = all[one].mix / all[one].sum;
    }
  }
  workgroupBarrier();
}

/** A workgroup takes one chunk of one row (ROWS is 1), and leaves what `combine` merges. */
@compute @workgroup_size(THREADS)
fn attendChunks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.y, group.z, group.z + 1u);
  let first = group.x * CHUNK;
  if first >= share.longest {
    return;
  }
  loadQueries(share, thread);
  let chunks = chunkOf(share, first, thread);
  for (var h = 0u; h < HEADS; h++) {
    let rowAndHead = share.row * params.heads + share.head + h;
    let to = (rowAndHead * params.chunks + group.x) * (COLUMNS + 1u);
    if h < share.heads && thread < COLUMNS {
      out[to + thread] = chunks[h].mix;
    }
    if h < share.heads && thread == 0u {
      out[to + COLUMNS] = vec4(chunks[h].most, chunks[h].sum, 0.0, 0.0);
    }
  }
}
