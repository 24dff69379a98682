// The best of up to `segment` entries of a row, of equal ones the first; NaN ranks below everything.

var<workgroup> bestKeys: array<u32, THREADS>;
var<workgroup> bestEntries: array<u32, THREADS>;

/** Keeps the better of a thread's entry and that of thread `other`; entries with lower indices have lower ids. */
fn duel(thread: u32, other: u32) {
  let better = bestKeys[other] > bestKeys[thread];
  let same = bestKeys[other] == bestKeys[thread] && bestEntries[other] < bestEntries[thread];
  if better || same {
    bestKeys[thread] = bestKeys[other];
    bestEntries[thread] = bestEntries[other];
  }
}

@compute @workgroup_size(THREADS)
fn bestOne(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let start = group.x * params.segment;
  let end = min(start + params.segment, params.entries);
  var key = 0u;
  var entry = min(start + thread, end - 1u);
  for (var i = start + thread; i < end; i += THREADS) {
    let next = keyOf(logitAt(row, i));
    if next > key {
      key = next;
      entry = i;
    }
  }
  bestKeys[thread] = key;
  bestEntries[thread] = entry;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if thread < half { duel(thread, thread + half); }
    workgroupBarrier();
  }
  if thread == 0u {
    let to = (row * groups.x + group.x) * 2u;
    out[to] = idAt(row, bestEntries[0]);
    out[to + 1u] = logitAt(row, bestEntries[0]);
  }
}
