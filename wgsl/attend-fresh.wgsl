// A single row, whose own key and value are not in the cache yet: they are read from where they were made, and stored for
// the next row by one of the workgroups that read them. No workgroup reads them from the cache.

@group(0) @binding(FIRST) var<storage, read_write> keys: array<vec4<f32>>; // (slots, kvHeads, capacity, COLUMNS)
@group(0) @binding(FIRST + 1) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(FIRST + 2) var<storage, read> k: array<vec4<f32>>; // (kvHeads, COLUMNS)
@group(0) @binding(FIRST + 3) var<storage, read> v: array<vec4<f32>>;

fn keyAt(share: Share, p: u32, column: u32) -> vec4<f32> {
  if p + 1u == share.length { return k[share.kvHead * COLUMNS + column]; }
  return keys[share.start + p * COLUMNS + column];
}

fn valueAt(share: Share, p: u32, column: u32) -> vec4<f32> {
  if p + 1u == share.length { return v[share.kvHead * COLUMNS + column]; }
  return values[share.start + p * COLUMNS + column];
}

fn keepFresh(share: Share, thread: u32) {
  let position = share.length - 1u;
  if thread < COLUMNS && share.head % (params.heads / params.kvHeads) == 0u {
    keys[share.start + position * COLUMNS + thread] = k[share.kvHead * COLUMNS + thread];
    values[share.start + position * COLUMNS + thread] = v[share.kvHead * COLUMNS + thread];
  }
}
