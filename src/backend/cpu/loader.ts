/**
 * How weights get from the file into the arena: the work is cut into pieces of at most STAGING bytes, threads take
 * pieces by a shared counter, read them with positioned reads, and repack ternary rows on the way. The file's bytes
 * exist once: in the arena, in the kernels' layout.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { TernionError } from "../../errors.js";
import type { WeightSource } from "../backend.js";
import { checkScale, invalidCode } from "../decode.js";
import { toStandardLayout } from "../layout.js";
import { CONTROL } from "./commands.js";
import type { Kernels } from "./kernels.js";

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
    for (let at = 0; at < byteLength; at += STAGING) {
      const length = Math.min(STAGING, byteLength - at);
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

/** The scale of an I2_S tensor: the float32 behind its codes. */
export function readScale({ name, path, offset, rows, columns }: WeightSource): number {
  const bytes = new Uint8Array(4);
  const file = openFile(path);
  try {
    readFully(file, bytes, offset + (rows * columns) / 4, name);
  } finally {
    closeSync(file);
  }
  const scale = new DataView(bytes.buffer).getFloat32(0, true);
  checkScale(name, scale);
  return scale;
}

/** Loads pieces until none is left or another thread failed. Runs in a worker thread. */
export function loadPieces(job: LoadJob, kernels: Kernels): void {
  const { memory, control, pieces, sources } = job;
  const words = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const word = (address: number) => (control + address) / 4;
  const files = new Map<string, number>();
  try {
    while (Atomics.load(words, word(CONTROL.failed)) === 0) {
      const piece = pieces[Atomics.add(words, word(CONTROL.piece), 1)];
      if (piece === undefined) return;
      const source = sources[piece.source];
      const file = files.get(source.path) ?? openFile(source.path);
      files.set(source.path, file);
      const to = piece.rows === 0 ? piece.address : job.staging;
      readFully(file, bytes.subarray(to, to + piece.byteLength), piece.offset, source.name);
      if (piece.rows > 0) {
        toStandardLayout(source.layout ?? "block128", bytes.subarray(to, to + piece.byteLength), source.columns);
      }
      if (piece.rows > 0 && kernels.ternaryPack(to, piece.address, source.columns, piece.rows) !== 0) {
        throw invalidCode(source.name);
      }
      Atomics.add(words, word(CONTROL.loaded), piece.byteLength >> 10);
    }
  } catch (error) {
    Atomics.store(words, word(CONTROL.failed), 1);
    throw error;
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TernionError("GGUF_READ", `${path}: cannot be read: ${reason}`, { cause });
  }
}

/** Fills `target` from `position` of the file. */
function readFully(file: number, target: Uint8Array, position: number, name: string): void {
  let filled = 0;
  while (filled < target.length) {
    const count = readSync(file, target, filled, target.length - filled, position + filled);
    if (count === 0) {
      throw new TernionError(
        "GGUF_TRUNCATED",
        `${name}: expected ${target.length} bytes at ${position}, got ${filled}: the file ends. Download it again.`,
      );
    }
    filled += count;
  }
}
