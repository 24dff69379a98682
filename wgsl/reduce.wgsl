// Reductions over a workgroup of 256 threads, in two steps of one fixed order: the bits depend on the values alone, not on
// the device's subgroups. Called by all threads.

const THREADS = 256u;

var<workgroup> partial: array<f32, 256>;
var<workgroup> partialOf16: array<f32, 16>;

fn reduceSum(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  if (thread < 16u) {
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) { sum += partial[16u * thread + i]; }
    partialOf16[thread] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) { sum += partialOf16[i]; }
  return sum;
}

fn reduceMax(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  if (thread < 16u) {
    var most = partial[16u * thread];
    for (var i = 1u; i < 16u; i++) { most = max(most, partial[16u * thread + i]); }
    partialOf16[thread] = most;
  }
  workgroupBarrier();
  var most = partialOf16[0];
  for (var i = 1u; i < 16u; i++) { most = max(most, partialOf16[i]); }
  return most;
}
