/**
 * How weights get from the file into the arena: the work is cut into pieces of at most STAGING bytes, threads take
 * pieces by a shared counter, read them with positioned reads, and repack ternary rows on the way. The file's bytes
 * exist once: in the arena, in the kernels' layout.
 */

import { invalidCode } from "../../../formats/decode.js";
import { type DenseType, FLOATS, notFinite } from "../../../formats/finite.js";
import { toStandardLayout } from "../../../formats/layout.js";
import { OpenFiles, readFully } from "../../../formats/read.js";
import type { WeightSource } from "../../backend.js";
import { CONTROL } from "../control.js";
import type { Kernels } from "../kernels.js";

/** Bytes of one thread's staging area. */
export const STAGING = 1 << 20;

/** Ternary rows of one packed group, as in asm/ternary.ts. */
export const GROUP = 8;

/** Bytes of one packed group. */
export const groupBytes = (columns: number) => 2 * columns;

export interface Piece {
  readonly source: number;
  /** first byte in the file */
  readonly offset: number;
  readonly byteLength: number;
  readonly address: number;
  /** ternary: rows in this piece; dense: 0 */
  readonly rows: number;
}

export interface LoadJob {
  readonly kind: "load";
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly control: number;
  readonly staging: number;
  readonly sources: readonly WeightSource[];
  readonly pieces: readonly Piece[];
}

/** Bytes that a weight takes in the arena. */
export function packedBytes({ type, rows, columns, byteLength }: WeightSource): number {
  return type === "I2_S" ? Math.ceil(rows / GROUP) * groupBytes(columns) : byteLength;
}

/** Cuts the weight `index`, which shall lie at `address`, into pieces. */
export function piecesOf(source: WeightSource, index: number, address: number): Piece[] {
  const { type, rows, columns, offset, byteLength } = source;
  const pieces: Piece[] = [];
  if (type !== "I2_S") {
    const most = STAGING - (STAGING % FLOATS[type].bytes); // whole blocks, so that each is checked in one piece
    for (let at = 0; at < byteLength; at += most) {
      const length = Math.min(most, byteLength - at);
      pieces.push({ source: index, offset: offset + at, byteLength: length, address: address + at, rows: 0 });
    }
    return pieces;
  }
  const rowBytes = columns / 4;
  const most = Math.max(GROUP, Math.floor(STAGING / rowBytes / GROUP) * GROUP);
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    const at = address + (row / GROUP) * groupBytes(columns);
    const from = offset + row * rowBytes;
    pieces.push({ source: index, offset: from, byteLength: count * rowBytes, address: at, rows: count });
  }
  return pieces;
}

/** Loads pieces until none is left or another thread failed. Runs in a worker thread. */
export function loadPieces(job: LoadJob, kernels: Kernels): void {
  const { memory, control, pieces, sources } = job;
  const words = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const word = (address: number) => (control + address) / 4;
  const files = new OpenFiles();
  try {
    while (Atomics.load(words, word(CONTROL.failed)) === 0) {
      const piece = pieces[Atomics.add(words, word(CONTROL.piece), 1)];
      if (piece === undefined) return;
      const source = sources[piece.source];
      const file = files.get(source.path);
      const to = piece.rows === 0 ? piece.address : job.staging;
      readFully(file, bytes.subarray(to, to + piece.byteLength), piece.offset, source.name);
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
    files.close();
  }
}

/** Refuses a piece of a dense weight with a float that is not finite, while the piece is in the cache. */
function checkPiece(kernels: Kernels, source: WeightSource, piece: Piece, arena: Uint8Array): void {
  const { bytes, at, exponent } = FLOATS[source.type as DenseType];
  const { address, byteLength, offset } = piece;
  const found = kernels.firstNonFinite(address + at, byteLength / bytes, bytes, exponent);
  if (found < 0) return;
  const from = address + found * bytes;
  throw notFinite(source, (offset - source.offset) / bytes + found, arena.subarray(from, from + bytes));
}
