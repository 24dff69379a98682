// Values of a dense weight as the file has them: f32, or two 16-bit floats in a u32. `halvesOf` is that of shared/halves.wgsl or
// of its form for devices with 16-bit floats. Constants: TYPE, one of these.

const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;

/** The two values of a word of 16-bit floats. */
fn unpackPair(word: u32) -> vec2<f32> {
  if TYPE == F16 {
    return halvesOf(word);
  }
  return vec2(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}
