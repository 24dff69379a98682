// The k best of up to `segment` entries of a row, in the order of their ids.
//
// Plain loop:   sort the entries by key, of equal keys the first first; keep k; sort these by id
//
// What the fast form adds:
// 1. Nothing is sorted: four histograms of 8 bits find the k-th key, from its highest digit on; all entries above it are kept,
//    and the first of its equals.
// 2. A thread takes entries that follow one another, and what the threads before it keep says where its own go.
// 3. The keys, which all five passes read, lie in workgroup memory where they fit.
// 4. A row is cut into segments of a workgroup each; a second dispatch ranks what they left (entries.wgsl).
//
// Where fewer than k entries are there, or allowed, NONE takes their places, not always the last ones. Constants: HELD, the keys that workgroup memory holds: all of the
// segment, or 1.
// Preconditions: entries with lower indices have lower ids.

var<workgroup> held: array<u32, HELD>; // keys
var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> sums: array<vec2<u32>, THREADS>;
var<workgroup> sumsOf16: array<vec2<u32>, 16>;
var<workgroup> found: vec2<u32>; // bits of the k-th key so far, how many are still to be found among those that share them

/** The sum of `value` over the threads before this one. Called by all threads. */
fn sumBefore(thread: u32, value: vec2<u32>) -> vec2<u32> {
  sums[thread] = value;
  workgroupBarrier();
  if thread < 16u {
    var sum = vec2(0u);
    for (var i = 0u; i < 16u; i++) { sum += sums[16u * thread + i]; }
    sumsOf16[thread] = sum;
  }
  workgroupBarrier();
  var sum = vec2(0u);
  for (var i = 0u; i < thread / 16u; i++) { sum += sumsOf16[i]; }
  for (var i = thread / 16u * 16u; i < thread; i++) { sum += sums[i]; }
  return sum;
}

/** The key of entry i of the row; `start` is the first of the workgroup's. */
fn keyAt(row: u32, i: u32, start: u32) -> u32 {
  if HELD > 1u {
    return held[i - start];
  }
  return entryKey(row, i);
}

@compute @workgroup_size(THREADS)
fn best(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let start = group.x * params.segment;
  let end = min(start + params.segment, params.entries);
  let count = min(params.k, end - start);
  let run = (end - start + THREADS - 1u) / THREADS; // entries of a thread, one after the other
  let first = min(start + thread * run, end);
  let last = min(first + run, end);

  if thread == 0u {
    found = vec2(0u, count);
  }
  if HELD > 1u {
    for (var i = start + thread; i < end; i += THREADS) { held[i - start] = entryKey(row, i); }
  }
  for (var shift = 24i; shift >= 0i; shift -= 8i) {
    atomicStore(&counts[thread], 0u);
    workgroupBarrier();
    let prefix = found.x;
    for (var i = start + thread; i < end; i += THREADS) {
      let key = keyAt(row, i, start);
      if shift == 24i || ((key ^ prefix) >> u32(shift + 8i)) == 0u {
        atomicAdd(&counts[(key >> u32(shift)) & 255u], 1u);
      }
    }
    workgroupBarrier();
    // the highest digit first: thread t looks at digit 255 - t
    let digit = 255u - thread;
    let own = atomicLoad(&counts[digit]);
    let left = found.y;
    let higher = sumBefore(thread, vec2(own, 0u)).x;
    workgroupBarrier();
    if higher < left && higher + own >= left {
      found = vec2(prefix | (digit << u32(shift)), left - higher);
    }
    workgroupBarrier();
  }
  let least = found.x;
  let ties = found.y;

  var more = 0u;
  var same = 0u;
  for (var i = first; i < last; i++) {
    let key = keyAt(row, i, start);
    more += u32(key > least);
    same += u32(key == least);
  }
  let before = sumBefore(thread, vec2(more, same));
  more = before.x;
  same = before.y;
  let to = (row * groups.x + group.x) * 2u * params.k;
  for (var i = first; i < last; i++) {
    let key = keyAt(row, i, start);
    if key > least || (key == least && same < ties) {
      let at = to + more + min(same, ties);
      out[at] = select(idAt(row, i), NONE, key == 0u);
      out[at + params.k] = select(logitAt(row, i), NO_LOGIT, key == 0u);
    }
    more += u32(key > least);
    same += u32(key == least);
  }
  for (var i = count + thread; i < params.k; i += THREADS) {
    out[to + i] = NONE;
    out[to + i + params.k] = NO_LOGIT;
  }
}
