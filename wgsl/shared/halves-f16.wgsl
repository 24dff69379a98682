// The form of halves.wgsl for devices that have 16-bit floats: the same values.

/** The two 16-bit floats of a word. */
fn halvesOf(word: u32) -> vec2<f32> { return vec2<f32>(bitcast<vec2<f16>>(word)); }
