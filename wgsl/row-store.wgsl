// Outputs of a single row in the order of their matrices, each kept as it is.
const OUTPUTS = 1u; // of a team

fn outputOf(group: u32, team: u32, i: u32) -> Place {
  let share = shareOf(group, TEAMS);
  return Place(share.matrix, min(share.first + team, share.outputs - 1u));
}

fn prepare(group: u32, thread: u32) {}

fn finish(group: u32, thread: u32, scale: f32) {
  let share = shareOf(group, TEAMS);
  if thread < TEAMS && share.first + thread < share.outputs {
    keep(share.matrix, share.first + thread, f32(teamTotal(thread, 0u)) * (share.scale * scale));
  }
}
