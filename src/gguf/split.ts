/**
 * A model split into files: name-00001-of-00003.gguf has all metadata and may have tensors; the others have tensors, and
 * no keys but split.no (from 0), split.count and split.tensors.count. Joined here, they are as the one file that they
 * were; what is missing is named, and parts that do not belong together are refused.
 */
import { integerKind } from "../check.js";
import { lastName, printable, quote, TernionError } from "../errors.js";
import type { GgufHead, GgufTensor } from "./file.js";

export interface Split {
  /** from 1 to `count` */
  readonly number: number;
  readonly count: number;
  /** of all parts together */
  readonly tensors: number;
}

/** split.count is a 16-bit number, split.tensors.count a 32-bit one with a sign. */
const PARTS = integerKind(2, 0xffff);
const TENSORS = integerKind(0, 2 ** 31 - 1);
const PART = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** What the file says about itself, if it is one of several. */
export function splitOf({ name, metadata }: Pick<GgufHead, "name" | "metadata">): Split | undefined {
  const count = metadata.get("split.count");
  if (count === undefined || count === 1) return undefined;
  const [no, tensors] = [metadata.get("split.no"), metadata.get("split.tensors.count")];
  const sound = PARTS.holds(count) && integerKind(0, count - 1).holds(no) && TENSORS.holds(tensors);
  if (sound) return { number: no + 1, count, tensors };
  const got = [no, count, tensors].map((value) => (typeof value === "object" ? "an array" : value)).join(", ");
  const want = "expected split.no from 0 to split.count - 1, and split.tensors.count";
  throw new TernionError("GGUF_SPLIT", `${name}: ${want}, got ${printable(got)}; the file is damaged`);
}

const padded = (value: number) => String(value).padStart(5, "0");

/** The name of another part: "m-00001-of-00003.gguf" → "m-00002-of-00003.gguf"; undefined for a name of another form. */
export function partName(name: string, number: number): string | undefined {
  if (!PART.test(name)) return undefined;
  return name.replace(PART, (_, _number, count, end) => `-${padded(number)}-of-${count}${end}`);
}

/** The names of all parts, given that of one of them. */
export function partNames(name: string, { number, count }: Split): string[] {
  const [, said, of] = PART.exec(name) ?? [];
  if (Number(said) !== number || Number(of) !== count) {
    throw new TernionError(
      "GGUF_SPLIT",
      `${name}: it is part ${number} of ${count}: expected a name that ends in -${padded(number)}-of-${padded(count)}.gguf, ` +
        "by which to find the others; give all parts the names that they had",
    );
  }
  return Array.from({ length: count }, (_, i) => partName(name, i + 1) as string);
}

const MOST_NAMED = 8;

/** The error for a model of which only `given` and some others are there. */
export function missingParts(given: string, { count }: Split, missing: readonly string[]): TernionError {
  const names = missing.slice(0, MOST_NAMED).map(lastName);
  const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : "";
  return new TernionError(
    "GGUF_NOT_FOUND",
    `${given}: expected all ${count} parts of the model in one folder, got no ${names.join(", ")}${more}. ` +
      "Put them beside it, or give the URL of one part: all are downloaded then.",
  );
}

/** Joins all parts of a model, in their order; `given` is the one by which the others were found. */
export function joinParts(parts: readonly GgufHead[], given: GgufHead): GgufHead {
  const split = splitOf(given) as Split;
  parts.forEach((part, i) => {
    checkPart(part, { ...split, number: i + 1 }, given.name);
  });
  const [first] = parts;
  const tensors = joinTensors(parts);
  if (tensors.size !== split.tensors) {
    const message = `expected ${split.tensors} tensors in all parts, got ${tensors.size}; get all parts again, from one place`;
    throw new TernionError("GGUF_SPLIT", `${first.name}: ${message}`);
  }
  const whole = <T>(entries: ReadonlyMap<string, T>) =>
    new Map([...entries].filter(([key]) => !key.startsWith("split.")));
  return {
    ...first,
    parts: parts.map(({ name }) => name),
    metadata: whole(first.metadata),
    valueTypes: whole(first.valueTypes),
    tensors,
    byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

function checkPart(part: GgufHead, expected: Split, given: string): void {
  const found = splitOf(part);
  const said = (split: Split | undefined) =>
    split === undefined ? "no part" : `part ${split.number} of ${split.count} with ${split.tensors} tensors in all`;
  if (said(found) === said(expected)) return;
  throw new TernionError(
    "GGUF_SPLIT",
    `${part.name}: expected ${said(expected)}, as ${lastName(given)} says, got ${said(found)}; ` +
      "get all parts again, from one place",
  );
}

function joinTensors(parts: readonly GgufHead[]): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const [part, { name: file, tensors: own }] of parts.entries()) {
    for (const [name, tensor] of own) {
      const twice = tensors.get(name)?.part;
      if (twice !== undefined) throw inTwoParts(name, parts[twice].name, file);
      tensors.set(name, { ...tensor, part });
    }
  }
  return tensors;
}

function inTwoParts(name: string, first: string, second: string): TernionError {
  return new TernionError(
    "GGUF_DUPLICATE",
    `${second}: the tensor ${quote(name)} is in ${lastName(first)} too; get all parts again, from one place`,
  );
}
