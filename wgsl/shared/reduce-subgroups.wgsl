// The form of `reduce` for devices with subgroups of one size: lanes exchange what they have, and only a subgroup's result
// goes through workgroup memory. Constants: SUBGROUP, the size, a power of two of 4 to 128.

struct Thread {
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
}

const SUBGROUPS = 256u / SUBGROUP;

var<workgroup> parts: array<Part, SUBGROUPS>;

/** All threads call it, once, and all get the same bits. */
fn joinedOfAll(thread: Thread, part: Part) -> Part {
  var own = part;
  for (var step = 1u; step < SUBGROUP; step *= 2u) { own = joined(own, subgroupShuffleXor(own, step)); }
  if thread.lane == 0u { parts[thread.subgroup] = own; }
  workgroupBarrier();
  var all = parts[0];
  for (var i = 1u; i < SUBGROUPS; i++) { all = joined(all, parts[i]); }
  return all;
}
