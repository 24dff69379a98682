/**
 * Typed records in 32-bit words. A struct is described once, by the names and kinds of its words; from this come the type
 * of what is written, the writer, the offsets by which the words are read one by one, and a reader of all of them. Threads of
 * the CPU read by offsets, because ops of small models take a few microseconds, and a copy of their words takes as long.
 */

/** A pointer is a byte address or 0, a handle or a count an int32, a float the bits of a float32, a flag 0 or 1. */
type Word = "pointer" | "handle" | "count" | "float" | "flag";

/** A word, one of some names (its index), a struct within the struct, or a list, which comes last. */
export type Kind = Word | readonly string[] | Struct | List<Struct>;

export interface Struct {
  readonly [name: string]: Kind;
}

/** A count, and so many structs. */
export class List<S extends Struct> {
  constructor(readonly of: S) {}
}

/** What is written for a struct. */
export type Values<S extends Struct> = { readonly [N in keyof S]: ValueOf<S[N]> };

type ValueOf<K> = K extends "flag"
  ? boolean
  : K extends Word
    ? number
    : K extends readonly string[]
      ? K[number]
      : K extends List<infer E>
        ? readonly Values<E>[]
        : K extends Struct
          ? Values<K>
          : never;

/** Where the words of a struct stand, counted from its first one. */
export type Offsets<S extends Struct> = { readonly [N in keyof S]: OffsetOf<S[N]> };

type OffsetOf<K> = K extends "float"
  ? FloatAt
  : K extends Word | readonly string[]
    ? number
    : K extends List<infer E>
      ? ListAt<E>
      : K extends Struct
        ? Offsets<K>
        : never;

declare const FLOAT: unique symbol;
/** The offset of a float: a number that `readFloat` takes, and no addition does. */
export interface FloatAt {
  readonly [FLOAT]: true;
}

export interface ListAt<E extends Struct> {
  /** where the count stands */
  readonly count: number;
  /** where the first element begins */
  readonly first: number;
  /** of one element */
  readonly words: number;
  /** within an element */
  readonly at: Offsets<E>;
}

/** Two views of one memory. */
export interface Words {
  readonly i32: Int32Array;
  readonly f32: Float32Array;
}

export function readFloat(floats: Float32Array, at: number, offset: FloatAt): number {
  return floats[at + (offset as unknown as number)];
}

/** One word, struct or list of a layout. */
interface Field {
  readonly name: string;
  readonly offset: unknown;
  /** of a list the count's only */
  readonly words: number;
  /** words beyond these */
  extra?(value: unknown): number;
  put(value: unknown, to: Words, at: number): void;
  get(from: Words, at: number): unknown;
}

export class Layout<S extends Struct> {
  readonly at: Offsets<S>;
  /** with empty lists */
  readonly words: number;
  readonly #fields: readonly Field[];

  constructor(struct: S, start = 0) {
    const fields: Field[] = [];
    let end = start;
    for (const [name, kind] of Object.entries(struct)) {
      if (fields.at(-1)?.extra !== undefined) throw new TypeError(`record: expected a list to come last, got ${name}`);
      const field = fieldOf(name, kind, end);
      fields.push(field);
      end += field.words;
    }
    this.#fields = fields;
    this.words = end - start;
    this.at = Object.fromEntries(fields.map(({ name, offset }) => [name, offset])) as Offsets<S>;
  }

  /** Words that `values` take. */
  wordsOf(values: Values<S>): number {
    const last = this.#fields.at(-1);
    return this.words + (last?.extra?.(values[last.name]) ?? 0);
  }

  /** Writes `values` from word `at` on. */
  write(values: Values<S>, to: Words, at: number): void {
    let next = at;
    for (const field of this.#fields) {
      field.put(values[field.name], to, next);
      next += field.words;
    }
  }

  /** What `write` was given. */
  read(from: Words, at: number): Values<S> {
    let next = at;
    const entries = this.#fields.map(({ name, words, get }) => {
      next += words;
      return [name, get(from, next - words)];
    });
    return Object.fromEntries(entries) as Values<S>;
  }
}

const putWord: Field["put"] = (value, { i32 }, at) => {
  i32[at] = value as number; // of a flag 0 or 1
};
const getWord = ({ i32 }: Words, at: number) => i32[at];
const FLOAT_FIELD: Pick<Field, "words" | "put" | "get"> = {
  words: 1,
  put(value, { f32 }, at) {
    f32[at] = value as number;
  },
  get: ({ f32 }, at) => f32[at],
};

function fieldOf(name: string, kind: Kind, offset: number): Field {
  if (kind === "float") return { name, offset, ...FLOAT_FIELD };
  if (kind === "flag") return { name, offset, words: 1, put: putWord, get: (from, at) => getWord(from, at) === 1 };
  if (typeof kind === "string") return { name, offset, words: 1, put: putWord, get: getWord };
  if (kind instanceof List) return listOf(name, kind, offset);
  if (Array.isArray(kind)) {
    const names: readonly unknown[] = kind;
    const put: Field["put"] = (value, to, at) => putWord(names.indexOf(value), to, at);
    return { name, offset, words: 1, put, get: (from, at) => names[getWord(from, at)] };
  }
  const layout = new Layout(kind as Struct, offset);
  const put: Field["put"] = (value, to, at) => layout.write(value as Values<Struct>, to, at);
  return { name, offset: layout.at, words: layout.words, put, get: (from, at) => layout.read(from, at) };
}

function listOf(name: string, { of }: List<Struct>, offset: number): Field {
  const element = new Layout(of);
  const { words, at } = element;
  return {
    name,
    offset: { count: offset, first: offset + 1, words, at },
    words: 1,
    extra: (value) => words * (value as readonly unknown[]).length,
    put(value, to, start) {
      const values = value as readonly Values<Struct>[];
      to.i32[start] = values.length;
      values.forEach((each, i) => void element.write(each, to, start + 1 + i * words));
    },
    get: (from, start) =>
      Array.from({ length: getWord(from, start) }, (_, i) => element.read(from, start + 1 + i * words)),
  };
}
