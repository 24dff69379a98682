/**
 * Typed access to the metadata of a file, for whoever reads it: an error names the key, what was expected and what the file
 * has. Which error it is, and what to do about it, the reader of a folder says.
 */
import { integerKind, type Kind } from "../check.js";
import { quote } from "../errors.js";
import type { GgufValue } from "./file.js";

/** Metadata of a file by key, as `general.architecture`. */
export type Metadata = ReadonlyMap<string, GgufValue>;

export const TEXT: Kind<string> = { expected: "a string", holds: (value) => typeof value === "string" };
export const FLAG: Kind<boolean> = { expected: "a boolean", holds: (value) => typeof value === "boolean" };

/** A key of our own: the order of ternary codes in files whose type leaves it open, where the writer knew it. */
export const TERNARY_LAYOUT = "ternion.ternary_layout";

export const DEFAULT_ALIGNMENT = 32;

/** Of the key general.alignment. */
export const ALIGNMENT: Kind<number> = {
  expected: `a power of two from 8 to ${1 << 20}`,
  holds: (value): value is number => integerKind(8, 1 << 20).holds(value) && Number.isInteger(Math.log2(value)),
};

export class MetadataReader {
  /** `refuse` makes the error of what is wrong: 'general.name: expected a string, got 7'. */
  constructor(
    readonly metadata: Metadata,
    readonly refuse: (problem: string) => Error,
  ) {}

  /** The value of a key; where there is none, `absent`, which must be of the kind too. */
  get<T>(key: string, kind: Kind<T>, absent?: T): T {
    const value = this.metadata.get(key) ?? absent;
    if (kind.holds(value)) return value;
    throw this.wrong(key, kind.expected, found(value));
  }

  /** Undefined where the file has no such key. */
  optional<T>(key: string, kind: Kind<T>): T | undefined {
    return this.metadata.has(key) ? this.get(key, kind) : undefined;
  }

  /** An array of strings that is not empty. */
  strings(key: string): readonly string[] {
    const values = stringsOf(this.metadata, key);
    if (values !== undefined && values.length > 0) return values;
    throw this.wrong(key, "an array of strings");
  }

  /** An array of integers that has `length` of them; undefined where the file has no such key. */
  integers(key: string, length: number, what: string): ArrayLike<number> | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const values = typeof value === "object" ? value.values : undefined;
    if (!(values instanceof Int32Array || values instanceof Uint32Array || values instanceof Uint8Array)) {
      throw this.wrong(key, "an array of integers");
    }
    if (values.length !== length) throw this.wrong(key, `${length} ${what}`, String(values.length));
    return values;
  }

  /** An array of `length` floats, each finite. */
  floats(key: string, length: number, what: string): Float32Array {
    const value = this.metadata.get(key);
    const values = typeof value === "object" ? value.values : undefined;
    if (!(values instanceof Float32Array)) throw this.wrong(key, "an array of F32");
    if (values.length !== length) throw this.wrong(key, `${length} ${what}`, String(values.length));
    const wrong = values.find((each) => !Number.isFinite(each));
    if (wrong !== undefined) throw this.wrong(key, "finite numbers", String(wrong));
    return values;
  }

  /** The error for a value that is not what was expected, by itself or beside others. */
  wrong(key: string, expected: string, got = found(this.metadata.get(key))): Error {
    return this.refuse(`${key}: expected ${expected}, got ${got}`);
  }
}

/** A string, or undefined where the key is absent or of another type: for what a file may lack. */
export function textOf(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key);
  return typeof value === "string" ? value : undefined;
}

/** The same for an array of strings. */
export function stringsOf(metadata: Metadata, key: string): readonly string[] | undefined {
  const value = metadata.get(key);
  return typeof value === "object" && value.type === "STRING" ? (value.values as readonly string[]) : undefined;
}

/** '"llama"', "7", "an array of 3 I32", "nothing" */
function found(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value);
  const { type, values } = value as Extract<GgufValue, object>;
  return `an array of ${values.length} ${type}`;
}
