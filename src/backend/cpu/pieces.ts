/** The pieces in which weights are loaded: each is read at once into one thread's staging area, or to its place. */
import { rowBytes } from "../../formats/format.js";
import { formatOf, isTernary } from "../../formats/table.js";
import type { WeightSource } from "../backend.js";
import { GROUP, groupBytes, SCALE_BLOCK } from "./sizes.js";

/** Bytes of a piece, but that one of a ternary weight has at least a group of rows. */
export const PIECE = 1 << 20;

/** What a thread's staging area has: room for a piece, and for a group of rows that is on its way into the kernels' layout. */
export interface Staging {
  /** of the whole area */
  readonly bytes: number;
  /** where the second part begins */
  readonly unpacked: number;
}

export function stagingOf(sources: readonly WeightSource[]): Staging {
  const groups = sources.filter(isTernary).map(({ type, columns }) => GROUP * rowBytes(formatOf(type), columns));
  const unpacked = sources.filter(hasBlockScales).map(({ columns }) => groupBytes(columns));
  const piece = aligned(Math.max(PIECE, ...groups));
  return { bytes: piece + aligned(Math.max(0, ...unpacked)), unpacked: piece };
}

const aligned = (bytes: number) => Math.ceil(bytes / 64) * 64;

export interface Piece {
  readonly source: number;
  /** first byte in the source's bytes */
  readonly offset: number;
  readonly byteLength: number;
  readonly address: number;
  /** ternary: rows in this piece; dense: 0 */
  readonly rows: number;
  /** where the scales of its blocks go; 0 where the weight has one scale */
  readonly scales: number;
  /** where its bytes are in shared memory, if the main thread has read them; `address` for dense ones */
  readonly staged?: number;
}

/** Whether a ternary weight has a scale for each SCALE_BLOCK weights of a row, and not one for all. */
export const hasBlockScales = (source: Pick<WeightSource, "type">) =>
  isTernary(source) && formatOf(source.type).block === SCALE_BLOCK;

/** Bytes of the codes of a ternary weight in the kernels' layout; the scales of its blocks follow, where it has such. */
export const codeBytes = (rows: number, columns: number) => Math.ceil(rows / GROUP) * groupBytes(columns);

/** Scales of the blocks of a weight, those of rows that fill the last group counted. */
export const blockScales = (rows: number, columns: number) => Math.ceil(rows / GROUP) * GROUP * (columns / SCALE_BLOCK);

/** Bytes that a weight takes in the arena. */
export function packedBytes(source: WeightSource): number {
  const { rows, columns, byteLength } = source;
  if (!isTernary(source)) return byteLength;
  return codeBytes(rows, columns) + (hasBlockScales(source) ? 4 * blockScales(rows, columns) : 0);
}

/** Cuts the weight `index`, which shall lie at `address`, into pieces. */
export function piecesOf(source: WeightSource, index: number, address: number): Piece[] {
  const { type, rows, columns, offset, byteLength } = source;
  const pieces: Piece[] = [];
  const format = formatOf(type);
  if (format.kind === "dense") {
    const most = PIECE - (PIECE % format.bytes); // whole blocks, so that each is checked in one piece
    for (let at = 0; at < byteLength; at += most) {
      const length = Math.min(most, byteLength - at);
      pieces.push({
        source: index,
        offset: offset + at,
        byteLength: length,
        address: address + at,
        rows: 0,
        scales: 0,
      });
    }
    return pieces;
  }
  const inRow = rowBytes(format, columns);
  const most = Math.max(GROUP, Math.floor(PIECE / inRow / GROUP) * GROUP);
  const scales = hasBlockScales(source) ? address + codeBytes(rows, columns) : 0;
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    pieces.push({
      source: index,
      offset: offset + row * inRow,
      byteLength: count * inRow,
      address: address + codeBytes(row, columns),
      rows: count,
      scales: scales === 0 ? 0 : scales + 4 * blockScales(row, columns),
    });
  }
  return pieces;
}
