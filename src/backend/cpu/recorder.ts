/** Writes commands into the record, each with its number of shares, until `take` hands them to the pool. */
import { TernionError } from "../../errors.js";
import type { Words } from "../record.js";
import { type Arguments, COMMANDS, HEADER, type OpName, RECORD_WORDS } from "./commands.js";
import { mostShares } from "./op-board.js";
import { TILED_ROWS } from "./sizes.js";
import { sharesOf, threadsFor, type Work } from "./work.js";

export class Recorder {
  #end = 0; // words recorded
  #sharedNs = 0; // of the ops in them that have several shares
  #rows = 0;
  #present = 1;

  /** `first` is the first word of the record. */
  constructor(
    readonly memory: Words,
    readonly first: number,
  ) {}

  /** A batch of `rows` begins, and `present` threads take part in it. */
  begin(rows: number, present: number): void {
    this.#rows = rows;
    this.#present = present;
  }

  /** Words recorded. */
  get end(): number {
    return this.#end;
  }

  write<N extends OpName>(op: N, work: Work, args: Arguments<N>): void {
    const command = COMMANDS[op];
    const words = HEADER.words + command.wordsOf(args);
    if (this.#end + words > RECORD_WORDS) {
      throw new TernionError(
        "BACKEND_FAILED",
        `command record: expected at most ${RECORD_WORDS} words before run(), got more. The model has too many layers.`,
      );
    }
    const at = this.first + this.#end;
    const shares = this.#sharesOf(work);
    HEADER.write({ op, words, shares, microseconds: Math.ceil(1 + work.ns / shares / 1000) }, this.memory, at);
    command.write(args, this.memory, at + HEADER.words);
    this.#end += words;
  }

  /** Of many rows a share takes long enough as it is, and some of the work is done once for each share. */
  #sharesOf(work: Work): number {
    const usual = this.#rows >= TILED_ROWS ? this.#present : mostShares(this.#present);
    const { ns, units, most = usual, exactly } = work;
    const shares = sharesOf({ ns, units, most, exactly }, this.#present);
    if (shares > 1) this.#sharedNs += ns;
    return shares;
  }

  /** Empties the record: words up to `end` are to be executed, and so many threads are worth waking for them. */
  take(): { end: number; threads: number } {
    const taken = { end: this.#end, threads: threadsFor(this.#sharedNs) };
    this.#end = this.#sharedNs = 0;
    return taken;
  }
}
