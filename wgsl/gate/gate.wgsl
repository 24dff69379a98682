// The gate of the feed-forward block, element by element.
//
// Plain loop:   out[i] = activation(gates[i]) * up[i]
//
// A thread takes four elements. `taken` of shared/gate-*.wgsl computes them and keeps them; before a norm, norm-quantize takes
// it as its input instead, which saves a pass over the rows. Preconditions: a multiple of 4 elements.

struct Params {
  quads: u32, // elements / 4
}

const FIRST = 1; // binding of the first input

@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn gate(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < params.quads) { _ = taken(id.x); }
}
