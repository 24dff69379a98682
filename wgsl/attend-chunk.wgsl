// Attention of one row and up to HEADS query heads that share a key-value head, over chunks of 128 positions; what a chunk
// leaves is merged in the order of the chunks. Every key and value is loaded once for all of these heads.
//
// A chunk, by 256 threads:
// 1. four threads share a position: thread l of them sums columns l, l + 4, ... of query . key, and the four sums are added;
// 2. the largest score, the exponentials and their sum, by 16 threads a head;
// 3. thread t mixes four columns over every `groups`-th position, and the groups are added by halves.

const CHUNK = 128u; // positions
const THREADS = 256u;
const LANES = 4u; // threads that share a position
const POSITIONS = THREADS / LANES; // at a time
const SUMMERS = 16u; // threads that reduce a head's scores
const LEAST = -3.4e38;

override COLUMNS: u32; // headDim / 4, at most 128

struct Params {
  heads: u32,
  kvHeads: u32,
  capacity: u32, // positions of a slot
  chunks: u32, // of the longest row; for partials
  scale: f32, // 1 / sqrt(headDim)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // (rows, heads, COLUMNS)
@group(0) @binding(2) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(3) var<storage, read> positions: array<i32>; // (rows)
// attend: (rows, heads, COLUMNS); attend chunks: (rows, heads, chunks, COLUMNS + 1), the last one's x most, y sum
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
// keys and values (slots, kvHeads, capacity, COLUMNS) are bound by the file that defines keyAt and valueAt
const FIRST = 5;

var<workgroup> query: array<vec4<f32>, HEADS * COLUMNS>;
var<workgroup> weights: array<f32, HEADS * CHUNK>; // scores first
var<workgroup> halves: array<f32, HEADS * SUMMERS>;
var<workgroup> pool: array<vec4<f32>, HEADS * 128u>; // sums of (heads, positions) by lane, then mixes of (heads, threads)

/** What a workgroup works on. */
struct Share {
  row: u32,
  head: u32, // the first of its heads
  heads: u32,
  kvHead: u32,
  start: u32, // of the key-value head in the cache
  length: u32, // positions of the row
}

fn shareOf(block: u32, row: u32) -> Share {
  let group = params.heads / params.kvHeads;
  let blocks = (group + HEADS - 1u) / HEADS;
  let kvHead = block / blocks;
  let first = block % blocks * HEADS;
  let start = (u32(slots[row]) * params.kvHeads + kvHead) * params.capacity * COLUMNS;
  return Share(row, kvHead * group + first, min(HEADS, group - first), kvHead, start, u32(positions[row]) + 1u);
}

fn loadQueries(share: Share, thread: u32) {
  for (var i = thread; i < HEADS * COLUMNS; i += THREADS) {
    let head = share.head + min(i / COLUMNS, share.heads - 1u);
    query[i] = q[(share.row * params.heads + head) * COLUMNS + i % COLUMNS];
  }
  workgroupBarrier();
}

fn sumOf(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

/** The chunk that begins at position `first`; threads below COLUMNS get the mix of their column. */
fn chunkOf(share: Share, first: u32, thread: u32) -> array<Chunk, HEADS> {
  let count = min(CHUNK, share.length - first);

  let lane = thread % LANES;
  for (var step = 0u; step < CHUNK / POSITIONS; step++) {
    let p = POSITIONS * step + thread / LANES;
    var sums = array<vec4<f32>, HEADS>();
    if p < count {
      for (var c = lane; c < COLUMNS; c += LANES) {
        let key = keyAt(share, first + p, c);
        for (var h = 0u; h < HEADS; h++) { sums[h] = fma(query[h * COLUMNS + c], key, sums[h]); }
      }
    }
    for (var h = 0u; h < HEADS; h++) { pool[h * CHUNK + p][lane] = sumOf(sums[h]); }
  }
  workgroupBarrier();
  for (var i = thread; i < HEADS * CHUNK; i += THREADS) {
    weights[i] = select(LEAST, sumOf(pool[i]) * params.scale, i % CHUNK < count);
  }
  workgroupBarrier();

  var chunks: array<Chunk, HEADS>;
  if thread < HEADS * SUMMERS {
    let at = thread / SUMMERS * CHUNK + thread % SUMMERS;
    var most = weights[at];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { most = max(most, weights[at + i]); }
    halves[thread] = most;
  }
  workgroupBarrier();
  for (var h = 0u; h < HEADS; h++) {
    var most = halves[h * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { most = max(most, halves[h * SUMMERS + i]); }
    chunks[h].most = most;
  }
  for (var h = 0u; h < HEADS; h++) {
    if thread < CHUNK {
      let i = h * CHUNK + thread;
      weights[i] = select(0.0, exp(weights[i] - chunks[h].most), thread < count);
    }
  }
  workgroupBarrier();
  if thread < HEADS * SUMMERS {
    let at = thread / SUMMERS * CHUNK + thread % SUMMERS;
    var sum = weights[at];
    for (var i = SUMMERS; i < CHUNK; i += SUMMERS) { sum += weights[at + i]; }
    halves[thread] = sum;
  }

  let groups = THREADS / COLUMNS;
  let group = thread / COLUMNS;
  let column = thread % COLUMNS;
  var mixes: array<vec4<f32>, HEADS>;
  if group < groups {
    for (var p = group; p < count; p += groups) {
      let value = valueAt(share, first + p, column);
      for (var h = 0u; h < HEADS; h++) { mixes[h] = fma(value, vec4(weights[h * CHUNK + p]), mixes[h]); }
    }
  }
  for (var n = groups; n > 1u; n = (n + 1u) / 2u) {
    let half = (n + 1u) / 2u;
    if group >= half && group < n {
      for (var h = 0u; h < HEADS; h++) { pool[h * 128u + (group - half) * COLUMNS + column] = mixes[h]; }
    }
    workgroupBarrier();
    if group + half < n {
      for (var h = 0u; h < HEADS; h++) { mixes[h] += pool[h * 128u + thread]; }
    }
    workgroupBarrier();
  }
  for (var h = 0u; h < HEADS; h++) {
    var sum = halves[h * SUMMERS];
    for (var i = 1u; i < SUMMERS; i++) { sum += halves[h * SUMMERS + i]; }
    chunks[h].sum = sum;
    chunks[h].mix = mixes[h];
  }
  workgroupBarrier();
  return chunks;
}

/** A workgroup walks all chunks of its row. */
@compute @workgroup_size(THREADS)
fn attend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, group.y);
  loadQueries(share, thread);
  var all = chunkOf(share, 0u, thread);
  for (var first = CHUNK; first < share.length; first += CHUNK) {
    let next = chunkOf(share, first, thread);
    for (var h = 0u; h < HEADS; h++) { all[h] = merged(all[h], next[h]); }
  }
  for (var h = 0u; h < HEADS; h++) {
    if h < share.heads && thread < COLUMNS {
      out[(share.row * params.heads + share.head + h) * COLUMNS + thread] = all[h].mix / all[h].sum;
    }
  }
  keepFresh(share, thread);
}

/** A workgroup takes one chunk, and leaves what `combine` merges. */
@compute @workgroup_size(THREADS)
fn attendChunks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.y, group.z);
  let first = group.x * CHUNK;
  if first >= share.length {
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
  if share.length - first <= CHUNK {
    keepFresh(share, thread);
  }
}
