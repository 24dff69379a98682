// What both forms of `best` rank: the entries of a row, logits or candidates that a first dispatch left.
//
// A key is a logit's bits made to ascend with it as an integer, so that no comparison of floats can lose a NaN.
// Constants: CANDIDATES, 0 where `source` holds logits, and an entry's id is its index; 1 where it holds blocks of k ids and
// their k logits.

struct Params {
  entries: u32, // of a row
  segment: u32, // entries of a workgroup
  k: u32,
  stride: u32, // words of a row of `source`
}

const THREADS = 256u;
const NONE = 0xffffffffu; // an id that is none
const NO_LOGIT = 0x7f800001u; // its logit: a NaN that no arithmetic makes

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>; // (rows, stride)
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // (rows, segments, 2 k) k ids, then their k logits

fn place(row: u32, i: u32) -> u32 {
  if CANDIDATES == 1u {
    return row * params.stride + i / params.k * 2u * params.k + i % params.k;
  }
  return row * params.stride + i;
}

fn logitAt(row: u32, i: u32) -> u32 {
  return source[place(row, i) + select(0u, params.k, CANDIDATES == 1u)];
}

/** Ascends with the logit; NaN ranks above everything, so that it is not lost, and no logit below. */
fn keyOf(bits: u32) -> u32 {
  if (bits & 0x7fffffffu) > 0x7f800000u {
    return select(0xffffffffu, 0u, bits == NO_LOGIT);
  }
  if (bits & 0x7fffffffu) == 0u {
    return 0x80000000u; // -0 equals 0
  }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

/** The key of entry i; 0, below that of any logit, where its id is not allowed (masked.wgsl). */
fn entryKey(row: u32, i: u32) -> u32 {
  if !isAllowed(row, i) {
    return 0u;
  }
  return keyOf(logitAt(row, i));
}

fn idAt(row: u32, i: u32) -> u32 {
  if CANDIDATES == 1u {
    return source[place(row, i)];
  }
  return i;
}
