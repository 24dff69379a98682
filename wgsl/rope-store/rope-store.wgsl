// Rotary embedding of q and k in place at their rows' positions, and the store of k and v in the cache.
//
// Plain loop, for i < half of each head, with (c, s) = angles[position][i] and (a, b) = (i, i + half), or (2i, 2i + 1):
//   (x[a], x[b]) = (x[a] c - x[b] s, x[b] c + x[a] s);  keys[at] = k, values[at] = v of (slot, position)
//
// A thread takes one pair of one head of q, k or v. For a single row ternary-row/rope.wgsl does the same in the
// dispatch of the matrices. Preconditions: an even headDim; the cache has a block for the position.

struct Params {
  heads: u32,
  kvHeads: u32,
  half: u32, // headDim / 2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tables: CacheTables; // (SLOTS, SLOT_BLOCKS) blocks, (positions, half) angles
@group(0) @binding(2) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(3) var<storage, read> positions: array<i32>; // (rows)
@group(0) @binding(4) var<storage, read> v: array<f32>; // (rows, kvHeads, headDim)
@group(0) @binding(5) var<storage, read_write> q: array<f32>; // (rows, heads, headDim)
@group(0) @binding(6) var<storage, read_write> k: array<f32>; // (rows, kvHeads, headDim)
@group(0) @binding(7) var<storage, read_write> keys: array<f32>; // (blocks, kvHeads, BLOCK, headDim)
@group(0) @binding(8) var<storage, read_write> values: array<f32>; // (blocks, kvHeads, BLOCK, headDim)

@compute @workgroup_size(64)
fn ropeStore(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  let i = at.x % params.half;
  let step = pairStep(params.half);
  var head = at.x / params.half;
  let position = u32(positions[row]);
  let angle = tables.angles[position * params.half + i];
  if head < params.heads {
    let start = (row * params.heads + head) * 2u * params.half + pairAt(i);
    let pair = rotated(q[start], q[start + step], angle);
    q[start] = pair.x;
    q[start + step] = pair.y;
    return;
  }
  head -= params.heads;
  let kvHead = head % params.kvHeads;
  let start = (row * params.kvHeads + kvHead) * 2u * params.half + pairAt(i);
  let cache = CacheShape(params.kvHeads, 2u * params.half);
  let to = cacheAt(cache, blockOf(u32(slots[row]), position), kvHead, position) + pairAt(i);
  if head < params.kvHeads {
    let pair = rotated(k[start], k[start + step], angle);
    k[start] = pair.x;
    k[start + step] = pair.y;
    keys[to] = pair.x;
    keys[to + step] = pair.y;
  } else if head < 2u * params.kvHeads {
    values[to] = v[start];
    values[to + step] = v[start + step];
  }
}
