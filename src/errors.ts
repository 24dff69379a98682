/**
 * The one error class of the library. What the world does wrong (files, machines, devices, limits of a loaded model)
 * is a TernionError with a stable `code`; what the caller does wrong (a bad option value) is a TypeError or RangeError.
 */
export type ErrorCode =
  // the file as GGUF
  | "GGUF_NOT_FOUND"
  | "GGUF_MAGIC"
  | "GGUF_VERSION"
  | "GGUF_ENDIAN"
  | "GGUF_TRUNCATED"
  | "GGUF_COUNT"
  | "GGUF_STRING"
  | "GGUF_VALUE_TYPE"
  | "GGUF_DUPLICATE"
  | "GGUF_ALIGNMENT"
  | "GGUF_DIMS"
  | "GGUF_TENSOR_TYPE"
  | "GGUF_OVERFLOW"
  | "GGUF_OFFSET"
  | "GGUF_SPLIT"
  | "GGUF_READ"
  | "GGUF_WRITE"
  // a directory of Hugging Face's files
  | "MODEL_DIRECTORY"
  | "SAFETENSORS"
  // the file as a model
  | "MODEL_ARCH"
  | "MODEL_KEY"
  | "MODEL_TENSOR"
  | "MODEL_CODES"
  | "MODEL_REPAIR"
  | "MODEL_DOWNLOAD"
  // another engine's dump
  | "VERIFY_DUMP"
  // text
  | "TOKENIZER"
  | "CHAT_TEMPLATE"
  // what an answer is to be: a schema, a grammar, a regular expression
  | "GRAMMAR"
  // the installation
  | "PACKAGE_MISSING"
  // running
  | "BACKEND_UNAVAILABLE"
  | "BACKEND_FAILED"
  | "OUT_OF_MEMORY"
  | "DEVICE_LOST"
  | "SHADER"
  | "CONTEXT_OVERFLOW"
  | "BUSY"
  | "SESSION_BUSY"
  | "CLOSED";

/** What the world does wrong, with a `code` that stays the same from version to version. */
export class TernionError extends Error {
  override readonly name = "TernionError";
  readonly code: ErrorCode;

  /** `message` says what happened, what was expected, what was found, and what to do. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Whether V8 found no memory outside of its heap: for a buffer, for WebAssembly. It throws a RangeError then. */
export function isOutOfMemory(error: unknown): error is RangeError {
  return error instanceof RangeError && /allocat|out of memory/i.test(error.message);
}

export function outOfMemory(cause: RangeError): TernionError {
  return new TernionError(
    "OUT_OF_MEMORY",
    `The system gave no memory: ${cause.message}. ` +
      "Choose a smaller context length, fewer sessions or a smaller model, or raise the limit of memory.",
    { cause },
  );
}

/**
 * Text of a file, a server or a template, fit for a line of a message: cut to `most` characters, and what steers a
 * terminal (controls, escapes, line ends, marks of direction) or is no character is spelled out, as in "\x1b".
 */
export function printable(text: string, most = 80): string {
  // twice: a character may take two units
  const shown = Array.from(text.slice(0, 2 * most + 2), (character) =>
    character.replace(/[\p{C}\p{Zl}\p{Zp}]/u, escaped),
  );
  const whole = fitting(shown, most);
  return whole === shown.length ? shown.join("") : `${shown.slice(0, fitting(shown, most - 1)).join("")}…`;
}

/** How many of the `parts`, each of one character or what spells it out, fit into `most` characters. */
function fitting(parts: readonly string[], most: number): number {
  let [count, length] = [0, 0];
  while (count < parts.length) {
    length += Array.from(parts[count]).length;
    if (length > most) break;
    count++;
  }
  return count;
}

/** The same in quotation marks. */
export function quote(text: string, most?: number): string {
  return `"${printable(text, most)}"`;
}

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  const hex = code.toString(16);
  if (code > 0xffff) return `\\u{${hex}}`;
  return NAMED[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
}

/** "a/b.gguf" → "b.gguf", with the separators of any system. */
export const lastName = (path: string): string =>
  path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
