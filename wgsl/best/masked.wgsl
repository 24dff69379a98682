// Which ids may be ranked: row j those that its draw's mask allows, all where it has none.

const DRAW_WORDS = 8u; // of a draw, see wgsl/sample
const MASK = 5u; // the word that has the number of its mask, from 1 on, or 0

@group(0) @binding(3) var<storage, read> draws: array<u32>; // (rows, DRAW_WORDS)
@group(0) @binding(4) var<storage, read> masks: array<u32>; // (masks, entries / 32) a bit for each id

fn isAllowed(row: u32, id: u32) -> bool {
  let mask = draws[row * DRAW_WORDS + MASK];
  if mask == 0u {
    return true;
  }
  return ((masks[(mask - 1u) * ((params.entries + 31u) / 32u) + id / 32u] >> (id % 32u)) & 1u) == 1u;
}
