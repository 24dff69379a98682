// The gate of the feed-forward block, element by element: `taken` of another file computes and keeps it.

struct Params {
  quads: u32, // elements / 4
}

const FIRST = 1; // binding of the first input

@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn gate(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < params.quads) { _ = taken(id.x); }
}
