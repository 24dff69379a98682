// What the 256 threads of a workgroup have, reduced to one by `joined`, in workgroup memory and in one fixed order.
// Another file defines `Part`, and `joined`, which gives the same bits with its arguments exchanged.

struct Thread {
  @builtin(local_invocation_index) index: u32,
}

var<workgroup> parts: array<Part, 256>;
var<workgroup> partsOf16: array<Part, 16>;

/** All threads call it, once, and all get the same bits. */
fn joinedOfAll(thread: Thread, part: Part) -> Part {
  parts[thread.index] = part;
  workgroupBarrier();
  if thread.index < 16u {
    var all = parts[thread.index];
    for (var i = 1u; i < 16u; i++) { all = joined(all, parts[16u * i + thread.index]); }
    partsOf16[thread.index] = all;
  }
  workgroupBarrier();
  var all = partsOf16[0];
  for (var i = 1u; i < 16u; i++) { all = joined(all, partsOf16[i]); }
  return all;
}
