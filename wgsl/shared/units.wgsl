// Rows of a dense weight in units: how each type lies on the device, and what its bits mean. Every value is the float32 that the
// decoders of src/formats/ give, to the last bit. Another file binds `table`, an array of vec2<u32>.
//
//   TYPE       a unit       its words                                              a weight
//   F32        4 weights    4 floats                                               the float
//   F16, BF16  4 weights    2 halves a word                                        the half
//   Q8         8 weights    4 int8 q a word                                        q * scale, or q * scale - minimum
//   Q2         32 weights   16 codes a word, the first in the lowest bits          (code - 1) * scale
//
// GROUP weights of a row share a scale. The scales lie after all rows, in the order of the weights.
// Constants: TYPE; GROUP; SCALES, one of those below. Preconditions: columns a multiple of GROUP, and of a unit.

const Q8 = 3u;
const Q2 = 4u;

// scales: none, 16-bit floats two to a word, floats, floats with a minimum after each
const HALF = 1u;
const FLOAT = 2u;
const FLOAT_AND_MINIMUM = 3u;

const UNIT = select(select(1u, 2u, TYPE == Q8), 8u, TYPE == Q2); // quads of weights
const UNITS_OF_GROUP = max(1u, GROUP / (4u * UNIT));

/** Where a weight lies in `table`. */
struct Stored {
  first: u32, // the element at which its rows begin
  scales: u32, // the word at which its scales begin
}

struct Unit {
  words: vec4<u32>,
  scale: vec2<f32>, // and minimum
}

fn unitAt(stored: Stored, i: u32) -> Unit {
  if TYPE == F32 {
    let at = stored.first + 2u * i;
    return Unit(vec4(table[at], table[at + 1u]), vec2(1.0, 0.0));
  }
  return Unit(vec4(table[stored.first + i], 0u, 0u), scaleAt(stored.scales, i / UNITS_OF_GROUP));
}

/** The `k`-th four weights of a unit. */
fn quadOf(unit: Unit, k: u32) -> vec4<f32> {
  if TYPE == F32 { return bitcast<vec4<f32>>(unit.words); }
  if TYPE == Q8 { return fma(vec4<f32>(unpack4xI8(unit.words[k])), vec4(unit.scale.x), vec4(-unit.scale.y)); }
  if TYPE == Q2 {
    let codes = (vec4(unit.words[k / 4u] >> (8u * (k % 4u))) >> vec4(0u, 2u, 4u, 6u)) & vec4(3u);
    return (vec4<f32>(codes) - 1.0) * unit.scale.x;
  }
  return vec4(unpackPair(unit.words.x), unpackPair(unit.words.y));
}

fn wordAt(i: u32) -> u32 { return table[i / 2u][i % 2u]; }

fn scaleAt(first: u32, i: u32) -> vec2<f32> {
  if SCALES == HALF { return vec2(halfOf((wordAt(first + i / 2u) >> (16u * (i % 2u))) & 0xffffu), 0.0); }
  if SCALES == FLOAT { return vec2(bitcast<f32>(wordAt(first + i)), 0.0); }
  if SCALES == FLOAT_AND_MINIMUM { return bitcast<vec2<f32>>(vec2(wordAt(first + 2u * i), wordAt(first + 2u * i + 1u))); }
  return vec2(1.0, 0.0);
}

/** A finite 16-bit float; unpack2x16float may take those below 2^-14 for 0. */
fn halfOf(bits: u32) -> f32 {
  let size = bits & 0x7fffu;
  let normal = bitcast<f32>((size << 13u) + (112u << 23u));
  let small = f32(size) * 0x1p-24;
  let value = select(small, normal, size >= 0x400u);
  return select(value, -value, bits >= 0x8000u);
}
