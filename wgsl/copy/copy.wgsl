// What the device's memory moves: the roof that kernels are compared with.
//
// Plain loop:   sink[i] = source[i]
//
// A thread takes one vector of 16 bytes. Preconditions: a grid of 32768 workgroups in x, or of one row.

struct Params {
  count: u32, // vectors
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>; // (count)
@group(0) @binding(2) var<storage, read_write> sink: array<vec4<u32>>; // (count)

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * 32768u + group.x) * 256u + thread;
  if i < params.count { sink[i] = source[i]; }
}
