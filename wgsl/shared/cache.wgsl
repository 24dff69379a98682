// Where the key-value cache holds a head: the one place that knows, for all kernels that store in it and read from it.
//
// The cache lies in blocks of BLOCK positions. Position p of a slot is in block tables.blocks[slot][p / BLOCK], wherever that
// is: slots may share blocks. Another file binds `tables`.
// Layout of one layer's keys, and alike of its values: (blocks, kvHeads, BLOCK, width). What callers may rely on is less: the
// positions of one head in one block lie in one piece, position after position.
//
// Constants: BLOCK; SLOTS; SLOT_BLOCKS, most blocks of a slot.

/** What all layers of a cache have in common; in one binding, since adapters have few. */
struct CacheTables {
  blocks: array<array<u32, SLOT_BLOCKS>, SLOTS>,
  angles: array<vec2<f32>>, // (positions, headDim / 2) cos, sin
}

/** One layer of the cache, in elements of the array that holds it. */
struct CacheShape {
  kvHeads: u32,
  width: u32, // of a head: headDim in an array of f32, headDim / 4 in one of vec4<f32>
}

/** The block that holds a position of a slot. */
fn blockOf(slot: u32, position: u32) -> u32 { return tables.blocks[slot][position / BLOCK]; }

/** The first element of a head at a position, which is in `block`. */
fn cacheAt(shape: CacheShape, block: u32, kvHead: u32, position: u32) -> u32 {
  return ((block * shape.kvHeads + kvHead) * BLOCK + position % BLOCK) * shape.width;
}
