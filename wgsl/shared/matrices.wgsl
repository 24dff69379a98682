// Up to three matrices in one dispatch: which workgroup makes which of their outputs.
//
// Another file defines `params` with outputs0..2, the rows of each matrix, and scale0..2, what multiplies its results.
// keep-*.wgsl says where a result goes.

struct Share {
  matrix: u32,
  first: u32, // output that the workgroup begins with
  outputs: u32, // of the whole matrix
  scale: f32,
}

/** What workgroup `group` makes, where each makes `outputs` outputs of one matrix. */
fn shareOf(group: u32, outputs: u32) -> Share {
  let groups0 = (params.outputs0 + outputs - 1u) / outputs;
  let groups1 = (params.outputs1 + outputs - 1u) / outputs;
  if (group < groups0) { return Share(0u, group * outputs, params.outputs0, params.scale0); }
  if (group < groups0 + groups1) {
    return Share(1u, (group - groups0) * outputs, params.outputs1, params.scale1);
  }
  return Share(2u, (group - groups0 - groups1) * outputs, params.outputs2, params.scale2);
}
