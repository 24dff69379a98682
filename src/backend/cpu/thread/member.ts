/**
 * One worker thread at work: takes shares of the op under way until the pool is parked or has failed. How an op is cut
 * into shares never changes a result, and so it does not matter who computes which.
 *
 * A thread that finds no free share polls for a short time, since the others are about to end theirs, then sleeps. Where a
 * share takes far longer than it should, the thread that has it waits for a processor: there are more threads than
 * processors, or another process uses one. Where that happens again and again, the waiting thread naps: it leaves the
 * work to the others for a while, for longer each time.
 */
import { HEADER, OPS } from "../commands.js";
import { CONTROL, NONE } from "../control.js";
import { LONGEST_NAP, OpBoard } from "../op-board.js";
import type { OpContext } from "./context.js";
import { EXECUTE } from "./ops.js";

/** Polls between two looks at the clock: some microseconds. */
const POLLS = 500;
/** Milliseconds that a thread polls at least, and at most, before it sleeps. */
const LEAST_POLLING = 0.1;
const MOST_POLLING = 0.2;
/** And where it has just come back from a nap: most likely there is still no processor for it. */
const SHORT_POLLING = 0.02;
/** Shares that should take longer are not waited for long enough to know that they are late. */
const LONGEST_LATE = 0.5;
/** A thread naps when it has waited for late threads a third of the last STALL_MEMORY milliseconds or so. */
const STALL_MEMORY = 20;
const MOST_STALLED = STALL_MEMORY / 3;
/** One stall counts for so much at most: who sleeps is not woken by everything. */
const LONGEST_STALL = 4;
const SHORTEST_NAP = 0.5;
/** After so many milliseconds without a nap all is forgotten. */
const NAP_MEMORY = 1000;

export class Member {
  readonly #board: OpBoard;
  /** time of a share, of what was expected; a thread that loses its processor in a share does not spoil it */
  #pace = 1.5;
  /** milliseconds waited for late threads, the earlier ones counting less */
  #stalled = 0;
  #lastStall = 0;
  /** length of the next nap, and when the last one ended */
  #nap = SHORTEST_NAP;
  #lastNap = 0;

  constructor(readonly context: OpContext) {
    this.#board = new OpBoard(context.job);
  }

  /** Returns when the pool is parked or has failed. */
  work(): void {
    const { job, kernels } = this.context;
    const board = this.#board;
    this.#nap = Math.max(SHORTEST_NAP, board.lastNap(job.thread));
    if (this.#nap > STALL_MEMORY) this.#takeNap(); // there were more threads than processors; most likely there still are
    while (!board.stopped) {
      const sequence = board.load(CONTROL.sequence);
      const share = board.take(kernels, job.thread);
      if (share >= 0) this.#compute(share);
      else if (board.op === NONE) board.sleep(job.thread, sequence);
      else this.#awaitChange(sequence);
    }
  }

  #compute(share: number): void {
    const board = this.#board;
    const op = board.op;
    const start = performance.now();
    this.#execute(op, share, board.shares);
    this.#pace = Math.min(1.02 * this.#pace, (performance.now() - start) / this.#expectedMs(op));
    if (board.computed()) this.#goOn(op);
  }

  #execute(op: number, part: number, parts: number): void {
    const { context } = this;
    const at = context.job.record / 4 + op;
    context.begin(part, parts);
    EXECUTE[OPS[context.words[at + HEADER.at.op]]](context, at + HEADER.words);
  }

  /** Begins what follows the op that has ended. Ops of one share are computed at once: nobody else is needed for them. */
  #goOn(ended: number): void {
    const board = this.#board;
    const { words } = board;
    const record = this.context.job.record / 4;
    const end = words[board.at(CONTROL.rangeEnd)];
    const measured = words[board.at(CONTROL.measure)];
    for (let op = ended; !board.stopped; ) {
      if (measured !== 0) board.addTime(words[record + op + HEADER.at.op]);
      op += words[record + op + HEADER.at.words];
      const shares = words[record + op + HEADER.at.shares];
      if (op === end || shares > 1) {
        if (op === end) board.endRange();
        else board.publish(op, shares, 1);
        return;
      }
      this.#execute(op, 0, 1);
    }
  }

  #awaitChange(sequence: number): void {
    const { job, kernels } = this.context;
    const board = this.#board;
    const { op } = board;
    if (op === NONE) return;
    const start = performance.now();
    const limit = Math.max(LEAST_POLLING, 2 * this.#pace * this.#expectedMs(op));
    const isBack = start - this.#lastNap < STALL_MEMORY && this.#nap > STALL_MEMORY;
    const most = isBack ? SHORT_POLLING : Math.min(limit, MOST_POLLING);
    while (kernels.pollChange(job.control + CONTROL.sequence, sequence, POLLS) === 0) {
      if (board.stopped) return;
      if (performance.now() - start < most) continue;
      const late = limit <= LONGEST_LATE && board.load(CONTROL.left) > 0; // and not: one thread computes small ops
      board.sleep(job.thread, sequence);
      const waited = performance.now() - start;
      if (late && waited > limit) this.#stall(waited);
      return;
    }
  }

  /** Milliseconds that a share of an op should take; a guess, and of no meaning where the op has just ended. */
  #expectedMs(op: number): number {
    const { job, words } = this.context;
    return words[job.record / 4 + op + HEADER.at.microseconds] / 1000;
  }

  /** This thread has waited so many milliseconds for a late one. */
  #stall(waited: number): void {
    const now = performance.now();
    const remembered = this.#stalled * Math.exp((this.#lastStall - now) / STALL_MEMORY);
    this.#stalled = remembered + Math.min(waited, LONGEST_STALL);
    this.#lastStall = now;
    if (this.#stalled < MOST_STALLED) return;
    this.#nap = now - this.#lastNap < NAP_MEMORY ? Math.min(2 * this.#nap, LONGEST_NAP) : SHORTEST_NAP;
    this.#takeNap();
  }

  #takeNap(): void {
    const { thread } = this.context.job;
    if (!this.#board.nap(this.#nap)) return;
    this.#board.keepNap(thread, this.#nap);
    this.#lastStall = this.#lastNap = performance.now();
    this.#stalled = MOST_STALLED; // the next stall will do
  }
}
