// How the threads meet. All addresses are of 32-bit words in shared memory, each on a cache line of its own.

/**
 * Waits until `threads` threads have arrived. The last one resets the count and starts the next generation. A waiter
 * polls `spins` times, which covers the ordinary case in 0.1 µs, then sleeps for at most 50 ms at a time, so that more
 * threads than processors still get on. Returns 1 at once when `failed` is set, so that one failing thread frees all.
 */
export function barrier(count: usize, generation: usize, sleepers: usize, failed: usize, threads: i32, spins: i32): i32 {
  const mine = atomic.load<i32>(generation);
  if (atomic.add<i32>(count, 1) == threads - 1) {
    atomic.store<i32>(count, 0);
    atomic.add<i32>(generation, 1);
    if (atomic.load<i32>(sleepers) != 0) atomic.notify(generation, -1);
    return atomic.load<i32>(failed);
  }
  let left = spins;
  while (atomic.load<i32>(generation) == mine) {
    if (atomic.load<i32>(failed) != 0) return 1;
    if (--left > 0) continue;
    atomic.add<i32>(sleepers, 1);
    atomic.wait<i32>(generation, mine, 50_000_000);
    atomic.sub<i32>(sleepers, 1);
    left = spins;
  }
  return atomic.load<i32>(failed);
}
