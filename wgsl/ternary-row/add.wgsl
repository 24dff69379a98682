// `finish` of ternary-row: outputs of one matrix, which the residual stream receives as well.

const MADE = TEAMS * OUTPUTS; // of a workgroup

var<private> before: f32; // in the residual stream, where `finish` adds

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  return Place(0u, min(group * MADE + TEAMS * i + team, params.outputs0 - 1u));
}

fn prepare(group: u32, thread: u32) {
  before = addTo[min(group * MADE + thread % MADE, params.outputs0 - 1u)];
}

fn finish(group: u32, thread: u32, scale: f32) {
  let output = group * MADE + thread;
  if thread < MADE && output < params.outputs0 {
    let y = teamTotal(group, thread % TEAMS, thread / TEAMS) * (params.scale0 * scale);
    out0[output] = y;
    addTo[output] = before + y;
  }
}
