// Attention of the rows of a batch over what the cache holds of their slots.
//
// Plain loop, for one row and query head:
//   s[p] = q . keys[p] / sqrt(headDim);  w = exp(s - max s);  out = sum over p of w[p] values[p] / sum w
//
// What the fast form adds:
// 1. A workgroup of 256 threads takes up to HEADS query heads that share a key-value head, so that a key or value is loaded once
//    for all of them. Where that would leave fewer than 64 workgroups HEADS is 1: 1.2 times as fast at short contexts on an H200.
// 2. Positions go in chunks of CHUNK, whose (max, sum of w, sum of w values) `fold` adds up in the order of the chunks. Chunks
//    begin at multiples of CHUNK: the arithmetic depends on the position alone. `attend` walks all chunks of its row;
//    `attendSplit` takes one chunk, for `combine`: with few rows there are too few workgroups otherwise.
// 3. Scores: four threads share a position; thread l of them sums columns l, l + 4, ... of q . key, and the four sums are added.
// 4. The largest score, the exponentials and their sum: 16 threads a head.
// 5. The mix: thread t takes four columns of every GROUPS-th position, and the groups are added by halves.
// 6. All loops have constant bounds, and what lies beyond the row is loaded from within it and counts nothing: so loads do not
//    wait for one another.
//
// Constants: COLUMNS, headDim / 4; HEADS; CHUNK, positions.
// Preconditions: headDim a multiple of 8, at most 512; CHUNK a multiple of 64; heads a multiple of kvHeads; a row's position is
// below SLOT_BLOCKS * BLOCK, and the cache holds its slot up to that position; BLOCK a multiple of CHUNK.

const THREADS = 256u;
const LANES = 4u; // threads that share a position
const POSITIONS = THREADS / LANES; // at a time
const SHARE = (COLUMNS + LANES - 1u) / LANES; // columns of a lane
const SUMMERS = 16u; // threads that reduce a head's scores
const GROUPS = THREADS / COLUMNS; // threads of a column
const MIXED = (CHUNK + GROUPS - 1u) / GROUPS; // positions of a thread
const LEAST = -3.4e38;
const POOL = max(CHUNK, THREADS / 2u);

struct Params {
  heads: u32,
  kvHeads: u32,
  chunks: u32, // of the longest row; for attendSplit
  scale: f32, // 1 / sqrt(headDim)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // (rows, heads, COLUMNS)
@group(0) @binding(2) var<storage, read> keys: array<vec4<f32>>; // (blocks, kvHeads, BLOCK, COLUMNS)
@group(0) @binding(3) var<storage, read> values: array<vec4<f32>>; // (blocks, kvHeads, BLOCK, COLUMNS)
@group(0) @binding(4) var<storage, read> tables: CacheTables; // (SLOTS, SLOT_BLOCKS) blocks
@group(0) @binding(5) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(6) var<storage, read> positions: array<i32>; // (rows)
// attend: (rows, heads, COLUMNS); attendSplit: (rows, heads, chunks, COLUMNS + 1), the last one's x most, y sum
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> query: array<vec4<f32>, HEADS * SHARE * LANES>; // (HEADS, columns), zeros after the last column
var<workgroup> weights: array<f32, HEADS * CHUNK>; // scores first
var<workgroup> parts: array<f32, HEADS * SUMMERS>; // of a maximum or a sum
var<workgroup> most: array<f32, HEADS>;
var<workgroup> sums: array<f32, HEADS>;
var<workgroup> pool: array<vec4<f32>, HEADS * POOL>; // scores of (HEADS, positions) by lane, then mixes of (HEADS, threads)

/** What a workgroup works on. */
struct Share {
  row: u32,
  head: u32, // the first of its heads
  heads: u32,
  slot: u32,
  kvHead: u32,
  length: u32, // positions of the row
}

fn shareOf(block: u32, row: u32) -> Share {
  let group = params.heads / params.kvHeads;
  let blocks = (group + HEADS - 1u) / HEADS;
  let kvHead = block / blocks;
  let first = block % blocks * HEADS;
  let heads = min(HEADS, group - first);
  return Share(row, kvHead * group + first, heads, u32(slots[row]), kvHead, u32(positions[row]) + 1u);
}

fn loadQueries(share: Share, thread: u32) {
  for (var i = thread; i < HEADS * SHARE * LANES; i += THREADS) {
    let head = share.head + min(i / (SHARE * LANES), share.heads - 1u);
    let column = i % (SHARE * LANES);
    query[i] = vec4(0.0);
    if column < COLUMNS { query[i] = q[(share.row * params.heads + head) * COLUMNS + column]; }
  }
  workgroupBarrier();
}

fn sumOf(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

/** The chunk that begins at position `first`; threads below COLUMNS get the mix of their column. */
fn attendChunk(share: Share, first: u32, thread: u32) -> array<Chunk, HEADS> {
  let count = min(CHUNK, share.length - first);
  let block = blockOf(share.slot, first);
  let start = cacheAt(CacheShape(params.kvHeads, COLUMNS), block, share.kvHead, first);

  let lane = thread % LANES;
  for (var step = 0u; step < CHUNK / POSITIONS; step++) {
    let p = POSITIONS * step + thread / LANES;
    let at = start + min(p, count - 1u) * COLUMNS;
    // explicit: a compiler that was tried does not clear the array for the second step
    var scores = array<vec4<f32>, HEADS>();
    for (var i = 0u; i < SHARE; i++) {
      let column = lane + LANES * i;
      let key = keys[at + min(column, COLUMNS - 1u)];
      for (var h = 0u; h < HEADS; h++) { scores[h] = fma(query[h * SHARE * LANES + column], key, scores[h]); }
    }
    for (var h = 0u; h < HEADS; h++) { pool[h * POOL + p][lane] = sumOf(scores[h]); }
  }
  workgroupBarrier();
  for (var i = thread; i < HEADS * CHUNK; i += THREADS) {
    weights[i] = select(LEAST, sumOf(pool[i / CHUNK * POOL + i % CHUNK]) * params.scale, i % CHUNK < count);
  }
  workgroupBarrier();

  let summer = thread / SUMMERS * CHUNK + thread % SUMMERS; // its first weight
  if thread < HEADS * SUMMERS {
    var largest = weights[summer];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { largest = max(largest, weights[summer + i]); }
    parts[thread] = largest;
  }
  workgroupBarrier();
  if thread < HEADS {
    var largest = parts[thread * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { largest = max(largest, parts[thread * SUMMERS + i]); }
    most[thread] = largest;
  }
  workgroupBarrier();
  for (var i = thread; i < HEADS * CHUNK; i += THREADS) {
    weights[i] = select(0.0, exp(weights[i] - most[i / CHUNK]), i % CHUNK < count);
  }
  workgroupBarrier();
  if thread < HEADS * SUMMERS {
    var sum = weights[summer];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { sum += weights[summer + i]; }
    parts[thread] = sum;
  }

  let group = thread / COLUMNS;
  let column = thread % COLUMNS;
  var mixes = array<vec4<f32>, HEADS>();
  for (var i = 0u; i < MIXED; i++) {
    let p = min(group + GROUPS * i, CHUNK - 1u);
    let value = values[start + min(p, count - 1u) * COLUMNS + column];
    let counts = group + GROUPS * i < CHUNK;
    for (var h = 0u; h < HEADS; h++) {
      mixes[h] = fma(value, vec4(select(0.0, weights[h * CHUNK + p], counts)), mixes[h]);
    }
  }
  workgroupBarrier();
  if thread < HEADS {
    var sum = parts[thread * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { sum += parts[thread * SUMMERS + i]; }
    sums[thread] = sum;
  }
  for (var n = GROUPS; n > 1u; n = (n + 1u) / 2u) {
    let half = (n + 1u) / 2u;
    if group >= half && group < n {
      for (var h = 0u; h < HEADS; h++) { pool[h * POOL + (group - half) * COLUMNS + column] = mixes[h]; }
    }
    workgroupBarrier();
    if group + half < n {
      for (var h = 0u; h < HEADS; h++) { mixes[h] += pool[h * POOL + thread]; }
    }
    workgroupBarrier();
  }
  var chunks: array<Chunk, HEADS>;
  for (var h = 0u; h < HEADS; h++) { chunks[h] = Chunk(most[h], sums[h], mixes[h]); }
  workgroupBarrier();
  return chunks;
}

/** A workgroup walks all chunks of its row. */
@compute @workgroup_size(THREADS)
fn attend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, group.y);
  loadQueries(share, thread);
  var all = attendChunk(share, 0u, thread);
  for (var first = CHUNK; first < share.length; first += CHUNK) {
    let next = attendChunk(share, first, thread);
    for (var h = 0u; h < HEADS; h++) { all[h] = fold(all[h], next[h]); }
  }
  for (var h = 0u; h < HEADS; h++) {
    if h < share.heads && thread < COLUMNS {
      out[(share.row * params.heads + share.head + h) * COLUMNS + thread] = all[h].mix / all[h].sum;
    }
  }
}

/** A workgroup takes one chunk, and leaves what `combine` folds. */
@compute @workgroup_size(THREADS)
fn attendSplit(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.y, group.z);
  let first = group.x * CHUNK;
  if first >= share.length {
    return;
  }
  loadQueries(share, thread);
  let chunks = attendChunk(share, first, thread);
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
