// Where the key-value cache holds a head: the one place that knows, for all kernels that store in it and read from it.
//
// Layout of one layer's keys, and alike of its values: (slots, kvHeads, capacity, width). What callers may rely on is less: a
// chunk of attention (CHUNK positions from a multiple of CHUNK on) of one head lies in one piece, position after position.

/** One layer of the cache, in elements of the array that holds it. */
struct CacheShape {
  kvHeads: u32,
  capacity: u32, // positions of a slot
  width: u32, // of a head: headDim in an array of f32, headDim / 4 in one of vec4<f32>
}

/** The first element of a head at a position of a slot. */
fn cacheAt(shape: CacheShape, slot: u32, kvHead: u32, position: u32) -> u32 {
  return ((slot * shape.kvHeads + kvHead) * shape.capacity + position) * shape.width;
}
