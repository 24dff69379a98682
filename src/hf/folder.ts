/** The files of a model directory, wherever they lie, and the JSON among them: bounded, and checked value by value. */
import type { ByteSource } from "../backend/backend.js";
import { isRecord, type Kind } from "../check.js";
import { printable, quote, TernionError } from "../errors.js";

export interface Folder {
  /** for messages: its path */
  readonly name: string;
  /** The file of that name in it; undefined where there is none. */
  open(file: string): Promise<ByteSource | undefined>;
}

/** Most bytes of a text file. */
const MOST = { text: 1 << 24, tokenizer: 1 << 27 } as const;

/** The text of a file; undefined where there is none. */
export async function readText(
  folder: Folder,
  file: string,
  kind: keyof typeof MOST = "text",
): Promise<string | undefined> {
  const source = await folder.open(file);
  if (source === undefined) return undefined;
  if (source.size > MOST[kind]) {
    throw unreadable(source.name, `expected at most ${MOST[kind]} bytes, got ${source.size}`);
  }
  const bytes = new Uint8Array(source.size);
  await source.read(0, bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw unreadable(source.name, "expected UTF-8, got other bytes");
  }
}

/** The object that a JSON file holds; undefined where there is none. */
export async function readJson(
  folder: Folder,
  file: string,
  kind?: keyof typeof MOST,
): Promise<JsonObject | undefined> {
  const text = await readText(folder, file, kind);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unreadable(`${folder.name}: ${file}`, `expected JSON, got ${quote(text.trimStart(), 20)}`);
  }
  if (isRecord(value)) return new JsonObject(file, value);
  throw unreadable(`${folder.name}: ${file}`, "expected a JSON object");
}

function unreadable(name: string, problem: string): TernionError {
  return new TernionError("MODEL_DIRECTORY", `${name}: ${problem}. The file is damaged; get it again.`);
}

type JsonRecord = Readonly<Record<string, unknown>>;

/** Values of a JSON object by their names; null is the same as absent. */
export class JsonObject {
  /** `path`: how messages name it: "config.json", "config.json: rope_scaling" */
  constructor(
    readonly path: string,
    readonly values: JsonRecord,
  ) {}

  /** A value, unchecked. */
  any(name: string): unknown {
    return Object.hasOwn(this.values, name) ? (this.values[name] ?? undefined) : undefined;
  }

  get<T>(name: string, kind: Kind<T>, absent?: T): T {
    const value = this.any(name) ?? absent;
    if (kind.holds(value)) return value;
    throw this.wrong(name, kind.expected);
  }

  optional<T>(name: string, kind: Kind<T>): T | undefined {
    return this.any(name) === undefined ? undefined : this.get(name, kind);
  }

  object(name: string): JsonObject | undefined {
    const value = this.any(name);
    if (value === undefined) return undefined;
    if (isRecord(value)) return new JsonObject(`${this.path}: ${name}`, value);
    throw this.wrong(name, "an object");
  }

  /** Of a value that is damaged. */
  wrong(name: string, expected: string): TernionError {
    return new TernionError(
      "MODEL_KEY",
      `${this.path}: ${name}: expected ${expected}, got ${shown(this.any(name))}. The file is damaged.`,
    );
  }

  /** Of a value that is sound, but means what cannot be computed here. */
  unsupported(name: string, expected: string): TernionError {
    return new TernionError(
      "MODEL_ARCH",
      `${this.path}: ${name}: expected ${expected}, got ${shown(this.any(name))}. Such a model cannot run here.`,
    );
  }
}

/** `"llama"`, `7`, `nothing`, `{"a":1}` */
export function shown(value: unknown): string {
  return value === undefined ? "nothing" : printable(JSON.stringify(value));
}
