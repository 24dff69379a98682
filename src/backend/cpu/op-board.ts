/**
 * What all threads know of the op under way: where its command stands, which shares are free, how many are not computed.
 * An op ends when all its shares are computed, whoever computed them, so that nobody has to arrive. Who ends an op begins
 * the next; the main thread begins the first of a range. A thread with nothing to do sleeps until it is woken for a share.
 */
import { HEADER, OPS } from "./commands.js";
import { CONTROL, MASK_BITS, MAX_SHARES, NONE, THREAD, THREAD_BYTES } from "./control.js";
import type { Kernels } from "./kernels.js";

/** Milliseconds of the longest nap of a thread (see member.ts). */
export const LONGEST_NAP = 200;

/** Where the control words of a pool lie. */
export interface BoardPlace {
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  /** THREAD_BYTES for each thread */
  readonly lines: number;
  readonly threads: number;
}

export interface RangeOfCommands {
  readonly begin: number;
  readonly end: number;
  readonly number: number;
  readonly measure: boolean;
  /** threads that are worth waking for it */
  readonly threads: number;
}

export class OpBoard {
  readonly words: Int32Array;
  /** when the op under way began, milliseconds since the epoch */
  readonly #began: Float64Array;
  readonly #times: Float64Array;
  readonly #maskWords: number;

  constructor(readonly place: BoardPlace) {
    this.words = new Int32Array(place.memory.buffer);
    this.#began = new Float64Array(place.memory.buffer, place.control + CONTROL.began, 1);
    this.#times = new Float64Array(place.memory.buffer, place.control + CONTROL.times, OPS.length);
    this.#maskWords = Math.ceil(mostShares(place.threads) / MASK_BITS);
  }

  /** Index of a control word. */
  at(address: number): number {
    return (this.place.control + address) / 4;
  }
  load(address: number): number {
    return Atomics.load(this.words, this.at(address));
  }
  /** Whether the threads' tasks shall return. */
  get stopped(): boolean {
    return this.load(CONTROL.failed) !== 0 || this.load(CONTROL.park) !== 0;
  }
  /** Word of the record where the op under way begins, or NONE. */
  get op(): number {
    return this.load(CONTROL.op);
  }
  get shares(): number {
    return this.words[this.at(CONTROL.shares)];
  }

  set(address: number, value: number): void {
    Atomics.store(this.words, this.at(address), value);
  }

  /** Begins the commands in words [begin, end) of the record, which begins at word `record` of the memory. */
  beginRange(range: RangeOfCommands, record: number): void {
    const { begin, end, number, measure, threads } = range;
    const { words } = this;
    words[this.at(CONTROL.rangeEnd)] = end;
    words[this.at(CONTROL.rangeNumber)] = number;
    words[this.at(CONTROL.measure)] = measure ? 1 : 0;
    words[this.at(CONTROL.worthWaking)] = threads;
    if (measure) this.#began[0] = performance.timeOrigin + performance.now();
    this.publish(begin, words[record + begin + HEADER.at.shares], 0);
  }

  /**
   * Lets the threads begin the command at word `op` of the record, and wakes as many as it has shares; with NONE a range has
   * ended. No op is under way before. The masks come last: a thread that finds a share there finds all else written.
   */
  publish(op: number, shares: number, self: 0 | 1): void {
    const { words } = this;
    Atomics.store(words, this.at(CONTROL.op), op);
    words[this.at(CONTROL.shares)] = shares;
    Atomics.store(words, this.at(CONTROL.left), shares);
    for (let i = 0; MASK_BITS * i < shares; i++) {
      const bits = shares - MASK_BITS * i;
      Atomics.store(words, this.at(CONTROL.masks) + i, bits >= MASK_BITS ? -1 : 2 ** bits - 1);
    }
    Atomics.add(words, this.at(CONTROL.sequence), 1);
    // threads that are awake see the op by themselves, also one on its way to sleep
    const awake = this.load(CONTROL.present) - this.load(CONTROL.sleepers);
    this.wake(Math.min(shares, this.words[this.at(CONTROL.worthWaking)]) - Math.max(self, awake));
  }

  /** A share that nobody has begun, or -1. The op cannot end before it is computed. */
  take({ takeShare }: Kernels, thread: number): number {
    const { control, threads } = this.place;
    const first = Math.floor((this.shares * thread) / threads); // its own ones first, since they are the same for each token
    return takeShare(control + CONTROL.masks, this.#maskWords, Math.min(first, MASK_BITS * this.#maskWords - 1));
  }

  /** Counts a share as computed; true: it was the last one, and the caller begins the next op. */
  computed(): boolean {
    return Atomics.sub(this.words, this.at(CONTROL.left), 1) === 1;
  }

  /** Wakes at most `count` sleeping threads. */
  wake(count: number): void {
    const { words, place } = this;
    if (count < 1 || this.load(CONTROL.sleepers) === 0) return;
    for (let thread = 0, left = count; thread < place.threads && left > 0; thread++) {
      const line = this.#line(thread);
      if (Atomics.load(words, line + THREAD.asleep) === 0) continue;
      this.#wake(line);
      left--;
    }
  }

  /** Wakes all threads that sleep or nap. */
  wakeAll(): void {
    for (let thread = 0; thread < this.place.threads; thread++) this.#wake(this.#line(thread));
    Atomics.notify(this.words, this.at(CONTROL.park));
  }

  #wake(line: number): void {
    Atomics.add(this.words, line + THREAD.wakes, 1);
    Atomics.notify(this.words, line + THREAD.wakes);
  }

  /** Sleeps until woken, unless `sequence` is no longer the present one or the threads shall return. */
  sleep(thread: number, sequence: number): void {
    const { words } = this;
    const line = this.#line(thread);
    const wakes = Atomics.load(words, line + THREAD.wakes);
    Atomics.store(words, line + THREAD.asleep, 1);
    Atomics.add(words, this.at(CONTROL.sleepers), 1);
    // who begins an op changes the sequence first and looks for sleepers then: one of both sees the other
    if (this.load(CONTROL.sequence) === sequence && !this.stopped) Atomics.wait(words, line + THREAD.wakes, wakes);
    Atomics.sub(words, this.at(CONTROL.sleepers), 1);
    Atomics.store(words, line + THREAD.asleep, 0);
  }

  /** Sleeps for `ms`, and is not woken for shares; false: it is the last thread that does not, and has to go on. */
  nap(ms: number): boolean {
    const { words } = this;
    const present = this.at(CONTROL.present);
    for (;;) {
      const count = Atomics.load(words, present);
      if (count <= 1) return false;
      if (Atomics.compareExchange(words, present, count, count - 1) === count) break;
    }
    Atomics.wait(words, this.at(CONTROL.park), 0, ms);
    Atomics.add(words, present, 1);
    return true;
  }

  /** Counts the time since the last op ended, whichever thread ended it, for the one that ends now. */
  addTime(op: number): void {
    const now = performance.timeOrigin + performance.now();
    this.#times[op] += now - this.#began[0];
    this.#began[0] = now;
    this.words[this.at(CONTROL.calls) + op]++;
  }

  /** Milliseconds of a thread's last nap, kept while the threads' tasks end and begin again. */
  lastNap(thread: number): number {
    return this.words[this.#line(thread) + THREAD.nap] / 1000;
  }
  keepNap(thread: number, ms: number): void {
    this.words[this.#line(thread) + THREAD.nap] = 1000 * ms;
  }

  /** Tells the main thread that the range has been computed. */
  endRange(): void {
    this.publish(NONE, 0, 0);
    Atomics.store(this.words, this.at(CONTROL.done), this.words[this.at(CONTROL.rangeNumber)]);
    Atomics.notify(this.words, this.at(CONTROL.done));
  }

  #line(thread: number): number {
    return (this.place.lines + THREAD_BYTES * thread) / 4;
  }
}

/** Shares of the largest ops: several a thread, so that a late one holds up little. */
export function mostShares(threads: number): number {
  return Math.min(4 * threads, MAX_SHARES);
}
