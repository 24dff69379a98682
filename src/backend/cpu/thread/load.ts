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
import { GROUP, groupBytes, SCALE_BLOCK } from "../sizes.js";

export interface LoadJob {
  readonly kind: "load";
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly control: number;
  readonly staging: number;
  /** where in the staging area a group of rows in the order of I2_S has room */
  readonly unpacked: number;
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
  /** those of a block that must be finite */
  readonly floats: readonly FloatBlocks[];
  readonly rowBytes: number;
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
      checkPiece(kernels, source, { ...piece, address: to }, bytes);
      if (piece.scales > 0) packBlocks(kernels, source, piece, { from: to, unpacked: job.staging + job.unpacked });
      else if (piece.rows > 0) pack(kernels, source, piece, bytes.subarray(to, to + piece.byteLength));
      Atomics.add(words, word(CONTROL.loaded), piece.byteLength >> 10);
    }
  } catch (error) {
    Atomics.store(words, word(CONTROL.failed), 1);
    throw error;
  } finally {
    for (const each of opened.values()) each.close();
  }
}

/** Codes with one scale for all of the weight, in the order of I2_S or another that the source names. */
function pack(kernels: Kernels, source: LoadSource, piece: Piece, staged: Uint8Array): void {
  toStandardLayout(source.layout ?? "block128", staged, source.columns);
  if (kernels.ternaryPack(staged.byteOffset, piece.address, source.columns, piece.rows) !== 0) {
    throw invalidCode(source.name);
  }
}

/** Codes with a scale for each block: group by group they are brought into the order of I2_S, and packed. */
function packBlocks(
  kernels: Kernels,
  source: LoadSource,
  { rows, address, scales }: Piece,
  { from, unpacked }: { from: number; unpacked: number },
): void {
  const { columns, rowBytes, name } = source;
  const unpack = source.type === "TQ1_0" ? kernels.unpackTQ1_0 : kernels.unpackTQ2_0;
  const groupScales = (4 * GROUP * columns) / SCALE_BLOCK;
  for (let group = 0; group * GROUP < rows; group++) {
    const count = Math.min(GROUP, rows - group * GROUP);
    for (let r = 0; r < count; r++) {
      const to = unpacked + (r * columns) / 4;
      const scaleAt = scales + group * groupScales + 4 * r;
      unpack(from + (group * GROUP + r) * rowBytes, to, scaleAt, 4 * GROUP, columns);
    }
    if (kernels.ternaryPack(unpacked, address + group * groupBytes(columns), columns, count) !== 0) {
      throw invalidCode(name);
    }
  }
}

/** Refuses a piece with a float that is not finite, while it is in the cache; `piece.address`: where its bytes are. */
function checkPiece(kernels: Kernels, source: LoadSource, piece: Piece, arena: Uint8Array): void {
  const { address, byteLength, offset } = piece;
  for (const floats of source.floats) {
    const { bytes, float } = floats;
    const found = kernels.firstNonFinite(address + float.at, byteLength / bytes, bytes, float.exponent);
    if (found < 0) continue;
    const from = address + found * bytes;
    throw notFinite(floats, source, (offset - source.offset) / bytes + found, arena.subarray(from, from + bytes));
  }
}
