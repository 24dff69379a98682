// `finish` of ternary-row: a team makes gate and up of OUTPUTS / 2 elements, and the first matrix' result becomes
// activation(gate) * up, as `gate` makes it.

const ELEMENTS = TEAMS * OUTPUTS / 2u; // of a workgroup

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  return Place(i % 2u, min(group * ELEMENTS + i / 2u * TEAMS + team, params.outputs0 - 1u));
}

fn prepare(group: u32, thread: u32) {}

fn finish(group: u32, thread: u32, scale: f32) {
  let element = group * ELEMENTS + thread;
  if thread >= ELEMENTS || element >= params.outputs0 { return; }
  let i = thread / TEAMS * 2u;
  let gate = teamTotal(group, thread % TEAMS, i) * (params.scale0 * scale);
  let up = teamTotal(group, thread % TEAMS, i + 1u) * (params.scale1 * scale);
  keep(1u, element, up);
  keep(0u, element, activated(vec4(gate)).x * up);
}
