/** Reads of a weight's bytes from where its model lies. */
import type { WeightSource } from "../backend/backend.js";
import { type DecodedWeight, decodeWeight } from "./decode.js";
import { rowBytes } from "./format.js";
import { decodeScale } from "./i2_s.js";
import { formatOf } from "./table.js";

/** `length` bytes of a weight from its byte `position` on. */
export async function readBytes(
  { bytes, offset }: WeightSource,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const read = new Uint8Array(length);
  await bytes.read(offset + position, read);
  return read;
}

/** Reads and decodes one weight, whole. */
export async function readWeight(source: WeightSource): Promise<DecodedWeight> {
  return decodeWeight(source, await readBytes(source, 0, source.byteLength));
}

/** The scale of a weight that has one for all of it, after its codes. */
export async function readScale(source: WeightSource): Promise<number> {
  const { name, type, rows, columns } = source;
  return decodeScale(name, await readBytes(source, rows * rowBytes(formatOf(type), columns), 4));
}
