// `finish` of ternary-row: outputs in the order of their matrices, each kept as it is.

const MADE = TEAMS * OUTPUTS; // of a workgroup

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  let share = shareOf(group, MADE);
  return Place(share.matrix, min(share.first + TEAMS * i + team, share.outputs - 1u));
}

fn prepare(group: u32, thread: u32) {}

fn finish(group: u32, thread: u32, scale: f32) {
  let share = shareOf(group, MADE);
  let output = share.first + thread;
  if thread < MADE && output < share.outputs {
    keep(share.matrix, output, teamTotal(group, thread % TEAMS, thread / TEAMS) * (share.scale * scale));
  }
}
