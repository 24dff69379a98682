/**
 * The main thread's side of loading. What the threads can read themselves (files) they read, each piece into its own staging
 * area. Any other bytes are read here into shared memory, as many pieces as there are threads, while the threads pack those
 * before: bytes on a server or in a Blob take no more memory than that.
 */
import type { FloatBlocks } from "../../formats/finite.js";
import { rowBytes } from "../../formats/format.js";
import { formatOf } from "../../formats/table.js";
import type { LoadOptions, WeightSource, WeightType } from "../backend.js";
import type { Arena } from "./arena.js";
import { CONTROL } from "./control.js";
import { type Piece, piecesOf, type Staging, stagingOf } from "./pieces.js";
import type { LoadJob } from "./thread/load.js";
import type { ThreadPool } from "./thread-pool.js";

export interface Loading {
  readonly arena: Arena;
  readonly pool: ThreadPool;
  readonly module: WebAssembly.Module;
  /** address of the control block */
  readonly control: number;
}

/** Fills the weights at `addresses`, one for each source. An abort ends it early and without an error. */
export async function loadPieces(
  loading: Loading,
  sources: readonly WeightSource[],
  addresses: readonly number[],
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const pieces = sources.flatMap((source, i) => piecesOf(source, i, addresses[i]));
  const readHere = ({ source }: Piece) => sources[source].bytes.shared === undefined;
  const [here, there] = [pieces.filter(readHere), pieces.filter((piece) => !readHere(piece))];
  const feed = new Feed(loading, sources);
  const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const timer = setInterval(() => onProgress?.(Math.min(feed.loaded, total), total), 50);
  const stop = () => feed.stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    if (there.length > 0) await feed.threadsRead(there);
    if (here.length > 0) await feed.readHere(here, signal);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
  }
}

class Feed {
  readonly #job: Omit<LoadJob, "staging" | "pieces">;
  readonly #staging: Staging;

  constructor(
    readonly loading: Loading,
    readonly sources: readonly WeightSource[],
  ) {
    const plain = sources.map(({ bytes: { shared }, ...source }) => ({
      ...source,
      shared,
      floats: floatsOf(source.type),
      rowBytes: rowBytes(formatOf(source.type), source.columns),
    }));
    const { arena, module, control } = loading;
    this.#staging = stagingOf(sources);
    const { unpacked } = this.#staging;
    this.#job = { kind: "load", memory: arena.memory, module, control, sources: plain, unpacked };
  }

  /** bytes, in whole KiB of each piece */
  get loaded(): number {
    return 1024 * Atomics.load(this.loading.arena.i32, this.#word(CONTROL.loaded));
  }

  stop(): void {
    Atomics.store(this.loading.arena.i32, this.#word(CONTROL.failed), 1);
  }

  threadsRead(pieces: readonly Piece[]): Promise<void> {
    const { arena, pool } = this.loading;
    return this.#load(pieces, arena.allocate(pool.threads * this.#staging.bytes, "staging areas"));
  }

  /** Two windows take turns: one is filled while the threads empty the other. */
  async readHere(pieces: readonly Piece[], signal: AbortSignal | undefined): Promise<void> {
    const { arena, pool } = this.loading;
    const count = pool.threads;
    const { bytes } = this.#staging;
    const windows = [0, 1].map(() => arena.allocate(count * bytes, "staging areas"));
    let packing: Promise<void> = Promise.resolve();
    for (let first = 0; first < pieces.length && !signal?.aborted; first += count) {
      const window = windows[(first / count) % 2];
      const staged = pieces.slice(first, first + count).map((piece, i) => {
        return { ...piece, staged: piece.rows === 0 ? piece.address : window + i * bytes };
      });
      await Promise.all(staged.map((piece) => this.#read(piece, piece.staged)));
      await packing;
      packing = this.#load(staged, window);
      packing.catch(() => {}); // a read may fail before it is waited for
    }
    await packing;
  }

  #read({ source, offset, byteLength }: Piece, address: number): Promise<void> {
    const into = new Uint8Array(this.loading.arena.memory.buffer, address, byteLength);
    return this.sources[source].bytes.read(offset, into);
  }

  #load(pieces: readonly Piece[], staging: number): Promise<void> {
    Atomics.store(this.loading.arena.i32, this.#word(CONTROL.piece), 0);
    return this.loading.pool.load({ ...this.#job, pieces }, staging, this.#staging.bytes);
  }

  #word(field: number): number {
    return (this.loading.control + field) / 4;
  }
}

/** The floats of a block that must be finite, as data that threads can be sent. */
function floatsOf(type: WeightType): readonly FloatBlocks[] {
  const { name, block, bytes, floats } = formatOf(type);
  return floats.map((float) => ({ name, block, bytes, float }));
}
