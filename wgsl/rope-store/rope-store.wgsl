// Rotates the heads of q and k at their rows' positions, and stores k and v in the cache. A thread takes elements i and
// i + half of one head.

struct Params {
  heads: u32,
  kvHeads: u32,
  half: u32, // headDim / 2
  capacity: u32, // positions of a slot
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> angles: array<vec2<f32>>; // (positions, half) cos, sin
@group(0) @binding(2) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(3) var<storage, read> positions: array<i32>; // (rows)
@group(0) @binding(4) var<storage, read> v: array<f32>; // (rows, kvHeads, headDim)
@group(0) @binding(5) var<storage, read_write> q: array<f32>; // (rows, heads, headDim)
@group(0) @binding(6) var<storage, read_write> k: array<f32>; // (rows, kvHeads, headDim)
@group(0) @binding(7) var<storage, read_write> keys: array<f32>; // (slots, kvHeads, capacity, headDim)
@group(0) @binding(8) var<storage, read_write> values: array<f32>; // (slots, kvHeads, capacity, headDim)

/** Where the cache holds a head at the row's position. */
fn cached(row: u32, kvHead: u32) -> u32 {
  return ((u32(slots[row]) * params.kvHeads + kvHead) * params.capacity + u32(positions[row])) * 2u * params.half;
}

@compute @workgroup_size(64)
fn ropeStore(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = at.y;
  let i = at.x % params.half;
  var head = at.x / params.half;
  let angle = angles[u32(positions[row]) * params.half + i];
  if head < params.heads {
    let start = (row * params.heads + head) * 2u * params.half + i;
    let pair = rotated(q[start], q[start + params.half], angle);
    q[start] = pair.x;
    q[start + params.half] = pair.y;
    return;
  }
  head -= params.heads;
  if head < params.kvHeads {
    let start = (row * params.kvHeads + head) * 2u * params.half + i;
    let pair = rotated(k[start], k[start + params.half], angle);
    k[start] = pair.x;
    k[start + params.half] = pair.y;
    let to = cached(row, head) + i;
    keys[to] = pair.x;
    keys[to + params.half] = pair.y;
    return;
  }
  head -= params.kvHeads;
  if head < params.kvHeads {
    let start = (row * params.kvHeads + head) * 2u * params.half + i;
    let to = cached(row, head) + i;
    values[to] = v[start];
    values[to + params.half] = v[start + params.half];
  }
}
