// One chunk of one query head: softmax over at most 128 positions, and the mix of their values.
//
// 1. thread t scores position t of the chunk;
// 2. the largest score and the sum of the exponentials are reduced by halves;
// 3. thread t mixes four columns over every `groups`-th position, and the groups are added in order.

const CHUNK = 128u; // positions of a chunk, threads of a workgroup
const MOST_COLUMNS = 128u; // headDim / 4

struct Params {
  heads: u32,
  kvHeads: u32,
  columns: u32, // headDim / 4, at most 128
  capacity: u32, // positions of a slot
  chunks: u32, // of the longest row; for partials
  scale: f32, // 1 / sqrt(headDim)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // (rows, heads, columns)
@group(0) @binding(2) var<storage, read> keys: array<vec4<f32>>; // (slots, kvHeads, capacity, columns)
@group(0) @binding(3) var<storage, read> values: array<vec4<f32>>; // (slots, kvHeads, capacity, columns)
@group(0) @binding(4) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(5) var<storage, read> positions: array<i32>; // (rows)
// attend: (rows, heads, columns); attend chunks: (rows, heads, chunks, columns + 1), the last one's x most, y sum
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> query: array<vec4<f32>, MOST_COLUMNS>;
var<workgroup> weights: array<f32, CHUNK>;
var<workgroup> halves: array<f32, CHUNK>;
var<workgroup> mixes: array<vec4<f32>, CHUNK>;

fn loadQuery(row: u32, head: u32, thread: u32) {
  if thread < params.columns {
    query[thread] = q[(row * params.heads + head) * params.columns + thread];
  }
  workgroupBarrier();
}

/** Where the cache begins for the slot of a row and the key-value head of a query head. */
fn cacheOf(row: u32, head: u32) -> u32 {
  let kvHead = head / (params.heads / params.kvHeads);
  return (u32(slots[row]) * params.kvHeads + kvHead) * params.capacity * params.columns;
}

/** The chunk of `count` positions that begins at cache[start]; each thread gets the mix of column thread % columns. */
fn chunkOf(start: u32, count: u32, thread: u32) -> Chunk {
  var score = -3.4e38;
  if thread < count {
    var sum = vec4(0.0);
    for (var c = 0u; c < params.columns; c++) {
      sum = fma(query[c], keys[start + thread * params.columns + c], sum);
    }
    score = ((sum.x + sum.y) + (sum.z + sum.w)) * params.scale;
  }
  halves[thread] = score;
  workgroupBarrier();
  for (var half = CHUNK / 2u; half > 0u; half /= 2u) {
    if thread < half {
      halves[thread] = max(halves[thread], halves[thread + half]);
    }
    workgroupBarrier();
  }
  let most = halves[0];
  workgroupBarrier();

  let weight = select(0.0, exp(score - most), thread < count);
  weights[thread] = weight;
  halves[thread] = weight;
  workgroupBarrier();
  for (var half = CHUNK / 2u; half > 0u; half /= 2u) {
    if thread < half {
      halves[thread] += halves[thread + half];
    }
    workgroupBarrier();
  }
  let sum = halves[0];

  let groups = CHUNK / params.columns;
  let column = thread % params.columns;
  var mix = vec4(0.0);
  if thread < groups * params.columns {
    for (var p = thread / params.columns; p < count; p += groups) {
      mix = fma(values[start + p * params.columns + column], vec4(weights[p]), mix);
    }
  }
  mixes[thread] = mix;
  workgroupBarrier();
  var total = mixes[column];
  for (var g = 1u; g < groups; g++) {
    total += mixes[g * params.columns + column];
  }
  workgroupBarrier();
  return Chunk(most, sum, total);
}

/** One workgroup a row and head: walks all its chunks. */
@compute @workgroup_size(CHUNK)
fn attend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let row = group.y;
  let length = u32(positions[row]) + 1u;
  let start = cacheOf(row, head);
  loadQuery(row, head, thread);
  var all = chunkOf(start, min(CHUNK, length), thread);
  for (var first = CHUNK; first < length; first += CHUNK) {
    all = merged(all, chunkOf(start + first * params.columns, min(CHUNK, length - first), thread));
  }
  if thread < params.columns {
    out[(row * params.heads + head) * params.columns + thread] = all.mix / all.sum;
  }
}

/** One workgroup a chunk, head and row: leaves what `combine` merges. */
@compute @workgroup_size(CHUNK)
fn attendChunks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let row = group.z;
  let first = group.x * CHUNK;
  let length = u32(positions[row]) + 1u;
  if first >= length {
    return;
  }
  loadQuery(row, head, thread);
  let chunk = chunkOf(cacheOf(row, head) + first * params.columns, min(CHUNK, length - first), thread);
  let to = ((row * params.heads + head) * params.chunks + group.x) * (params.columns + 1u);
  if thread < params.columns {
    out[to + thread] = chunk.mix;
  }
  if thread == 0u {
    out[to + params.columns] = vec4(chunk.most, chunk.sum, 0.0, 0.0);
  }
}
