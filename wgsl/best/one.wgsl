// The best of up to `segment` entries of a row.
//
// Plain loop:   best = the entry with the largest key, of equal ones the first
//
// What the fast form adds to best.wgsl: with k = 1 every thread keeps one entry, and the threads' are reduced to one
// (shared/reduce.wgsl). 8 us for 128,256 logits on an H200, both dispatches, where 40 ids take 29.
// Preconditions: k is 1; entries with lower indices have lower ids.

alias Part = vec2<u32>; // a key and its entry

/** The better. */
fn joined(a: Part, b: Part) -> Part {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

@compute @workgroup_size(THREADS)
fn bestOne(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, at: Thread) {
  let thread = at.index;
  let row = group.y;
  let start = group.x * params.segment;
  let end = min(start + params.segment, params.entries);
  var key = 0u;
  var entry = min(start + thread, end - 1u);
  for (var i = start + thread; i < end; i += THREADS) {
    let next = entryKey(row, i);
    if next > key {
      key = next;
      entry = i;
    }
  }
  let best = joinedOfAll(at, Part(key, entry));
  if thread == 0u {
    let to = (row * groups.x + group.x) * 2u;
    out[to] = select(idAt(row, best.y), NONE, best.x == 0u);
    out[to + 1u] = select(logitAt(row, best.y), NO_LOGIT, best.x == 0u);
  }
}
