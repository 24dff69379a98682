// 16-bit floats, on every adapter.

/** The two 16-bit floats of a word. */
fn halvesOf(word: u32) -> vec2<f32> { return unpack2x16float(word); }
