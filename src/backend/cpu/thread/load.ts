/**
 * How weights get into the arena: the work is cut into pieces (pieces.ts), threads take them by a shared counter, read them
 * where they can, and repack ternary rows on the way. The model's bytes exist once: in the arena, in the kernels' layout.
 */

import { type FloatBlocks, notFinite } from "../../../formats/finite.js";
import { invalidCode, toStandardLayout } from "../../../formats/i2_s.js";
import { openShared } from "../../../platform/file-bytes.js";
import type { ThreadBytes } from "../../../platform/platform.js";
import type { WeightSource } from "../../backend.js";
import { CONTROL } from "../control.js";
import type { Kernels } from "../kernels.js";
import type { Piece } from "../pieces.js";

export interface LoadJob {
  readonly kind: "load";
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly control: number;
  readonly staging: number;
  readonly sources: readonly LoadSource[];
  readonly pieces: readonly Piece[];
}

/**
 * A weight as the threads get it. Plain data in place of the table of formats, whose modules would cost the start of each
 * thread some 10 ms.
 */
export interface LoadSource extends Omit<WeightSource, "bytes"> {
  /** what the threads' side of the platform opens in place of `bytes` */
  readonly shared: unknown;
  /** of a dense weight */
  readonly floats: FloatBlocks | undefined;
}

/** Loads pieces until none is left or another thread failed. Runs in a worker thread. */
export function loadPieces(job: LoadJob, kernels: Kernels): void {
  const { memory, control, pieces, sources } = job;
  const words = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const word = (address: number) => (control + address) / 4;
  const opened = new Map<unknown, ThreadBytes>();
  try {
    while (Atomics.load(words, word(CONTROL.failed)) === 0) {
      const piece = pieces[Atomics.add(words, word(CONTROL.piece), 1)];
      if (piece === undefined) return;
      const source = sources[piece.source];
      const to = piece.staged ?? (piece.rows === 0 ? piece.address : job.staging);
      if (piece.staged === undefined) {
        const from = opened.get(source.shared) ?? openShared(source.shared);
        opened.set(source.shared, from);
        from.read(piece.offset, bytes.subarray(to, to + piece.byteLength));
      }
      if (piece.rows > 0) {
        toStandardLayout(source.layout ?? "block128", bytes.subarray(to, to + piece.byteLength), source.columns);
      }
      if (piece.rows > 0 && kernels.ternaryPack(to, piece.address, source.columns, piece.rows) !== 0) {
        throw invalidCode(source.name);
      }
      if (piece.rows === 0) checkPiece(kernels, source, piece, bytes);
      Atomics.add(words, word(CONTROL.loaded), piece.byteLength >> 10);
    }
  } catch (error) {
    Atomics.store(words, word(CONTROL.failed), 1);
    throw error;
  } finally {
    for (const each of opened.values()) each.close();
  }
}

/** Refuses a piece of a dense weight with a float that is not finite, while the piece is in the cache. */
function checkPiece(kernels: Kernels, source: LoadSource, piece: Piece, arena: Uint8Array): void {
  const floats = source.floats as FloatBlocks;
  const { bytes, float } = floats;
  const { address, byteLength, offset } = piece;
  const found = kernels.firstNonFinite(address + float.at, byteLength / bytes, bytes, float.exponent);
  if (found < 0) return;
  const from = address + found * bytes;
  throw notFinite(floats, source, (offset - source.offset) / bytes + found, arena.subarray(from, from + bytes));
}
