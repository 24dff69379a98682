/** The pieces in which weights are loaded: each is read at once into one thread's staging area, or to its place. */
import { rowBytes } from "../../formats/format.js";
import { formatOf, isTernary } from "../../formats/table.js";
import type { WeightSource } from "../backend.js";
import { GROUP, groupBytes } from "./sizes.js";

/** Bytes of one thread's staging area. */
export const STAGING = 1 << 20;

export interface Piece {
  readonly source: number;
  /** first byte in the source's bytes */
  readonly offset: number;
  readonly byteLength: number;
  readonly address: number;
  /** ternary: rows in this piece; dense: 0 */
  readonly rows: number;
  /** where its bytes are in shared memory, if the main thread has read them; `address` for dense ones */
  readonly staged?: number;
}

/** Bytes that a weight takes in the arena. */
export function packedBytes(source: WeightSource): number {
  const { rows, columns, byteLength } = source;
  return isTernary(source) ? Math.ceil(rows / GROUP) * groupBytes(columns) : byteLength;
}

/** Cuts the weight `index`, which shall lie at `address`, into pieces. */
export function piecesOf(source: WeightSource, index: number, address: number): Piece[] {
  const { type, rows, columns, offset, byteLength } = source;
  const pieces: Piece[] = [];
  const format = formatOf(type);
  if (format.kind === "dense") {
    const most = STAGING - (STAGING % format.bytes); // whole blocks, so that each is checked in one piece
    for (let at = 0; at < byteLength; at += most) {
      const length = Math.min(most, byteLength - at);
      pieces.push({ source: index, offset: offset + at, byteLength: length, address: address + at, rows: 0 });
    }
    return pieces;
  }
  const inRow = rowBytes(format, columns);
  const most = Math.max(GROUP, Math.floor(STAGING / inRow / GROUP) * GROUP);
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    const at = address + (row / GROUP) * groupBytes(columns);
    const from = offset + row * inRow;
    pieces.push({ source: index, offset: from, byteLength: count * inRow, address: at, rows: count });
  }
  return pieces;
}
