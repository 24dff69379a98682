// Keys and values as the cache has them.

@group(0) @binding(FIRST) var<storage, read> keys: array<vec4<f32>>; // (slots, kvHeads, capacity, COLUMNS)
@group(0) @binding(FIRST + 1) var<storage, read> values: array<vec4<f32>>;

fn keyAt(share: Share, p: u32, column: u32) -> vec4<f32> { return keys[share.start + p * COLUMNS + column]; }
fn valueAt(share: Share, p: u32, column: u32) -> vec4<f32> { return values[share.start + p * COLUMNS + column]; }

fn keepFresh(share: Share, thread: u32) {}
