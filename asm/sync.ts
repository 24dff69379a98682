// How the threads meet. All addresses are of 32-bit words in shared memory.

const MASK_SHIFT: i32 = 5;
export const MASK_BITS: i32 = 1 << MASK_SHIFT; // shares of a word

/**
 * Takes one share that nobody has begun: bit s of `masks` (`words` words) is set while share s is free. Looks from share
 * `first` on and around once. Returns the share, or -1 where none is left.
 *
 * A share that was taken keeps its op from ending, so what describes the op is read after this call.
 */
export function takeShare(masks: usize, words: i32, first: i32): i32 {
  for (let i = 0; i <= words; i++) {
    const word = ((first >> MASK_SHIFT) + i) % words;
    const address = masks + (<usize>word << 2);
    // the first word is visited twice: from `first` on, and at the end below it
    const lowest = 1 << (first & (MASK_BITS - 1));
    const wanted = i == 0 ? -lowest : i == words ? lowest - 1 : -1;
    let free = atomic.load<i32>(address) & wanted;
    while (free != 0) {
      const bit = free & -free;
      const before = atomic.and<i32>(address, ~bit);
      if ((before & bit) != 0) return (word << MASK_SHIFT) + <i32>ctz(bit);
      free = before & wanted;
    }
  }
  return -1;
}

/** Polls until the word at `address` is no longer `value`, at most `polls` times; returns 1 if it changed. */
export function pollChange(address: usize, value: i32, polls: i32): i32 {
  for (; polls > 0; polls--) if (atomic.load<i32>(address) != value) return 1;
  return 0;
}

/**
 * Waits until `threads` threads have arrived, for measurements in which all begin and end together. The last one resets the
 * count and starts the next generation. A waiter polls `spins` times, then sleeps for at most 50 ms at a time, so that more
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
