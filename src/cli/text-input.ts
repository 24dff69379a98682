/**
 * Text that a user gives as bytes, in a file or on stdin: UTF-8, or UTF-16 with its mark at the beginning. A mark is no
 * part of the text. Other bytes are refused, since a guess would put other words into the prompt.
 */
import { constants, isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { systemReason } from "../platform/files.js";

const MARK = Buffer.from("\uFEFF");

/** Of a text in bytes: V8's strings are no longer. It ends what a device gives without end, too. */
const LONGEST = constants.MAX_STRING_LENGTH;

/** `name` says in an error what the bytes are of. */
export function decodeText(bytes: Buffer, name: string): string {
  const encoding = utf16Of(bytes);
  if (encoding !== undefined) return decodeUtf16(bytes, encoding, name);
  const isMarked = bytes.subarray(0, MARK.length).equals(MARK);
  return decodeUtf8(isMarked ? bytes.subarray(MARK.length) : bytes, name, isMarked ? MARK.length : 0);
}

/** `flag`, if there is one, names the option that gave the path. */
export async function readTextFile(path: string, flag?: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readAll(createReadStream(path));
  } catch (cause) {
    const what = flag === undefined ? "" : `${flag}: `;
    const reason = (cause as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : systemReason(cause);
    throw new Error(`${what}expected a text file, got ${path}: ${reason}`, { cause });
  }
  return decodeText(bytes, path);
}

/** All of stdin. */
export async function readStdin(): Promise<string> {
  return decodeText(await readAll(process.stdin, "stdin: "), "stdin");
}

/** `name` begins an error. */
export async function readAll(source: AsyncIterable<Buffer>, name = ""): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    length += chunk.byteLength;
    if (length > LONGEST) throw new Error(`${name}expected at most ${LONGEST} bytes of text, got more`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The lines of stdin. Only "\n" ends one: node:readline would also split at U+2028, which a JSON string may contain. */
export async function* stdinLines(): AsyncGenerator<string> {
  let number = 0;
  const utf16: Buffer[] = []; // whose line feeds are of two bytes: split when all is there
  for await (const bytes of byteLines()) {
    number++;
    const name = `stdin, line ${number}`;
    if (utf16.length > 0 || (number === 1 && utf16Of(bytes) !== undefined)) utf16.push(bytes);
    else yield (number === 1 ? decodeText(bytes, name) : decodeUtf8(bytes, name)).replace(/\n$/, "");
  }
  const text = decodeText(Buffer.concat(utf16), "stdin");
  if (text !== "") yield* text.replace(/\n$/, "").split("\n");
}

/** With their line feeds; the last may have none. */
async function* byteLines(): AsyncGenerator<Buffer> {
  let open: Buffer[] = []; // the line that has not ended
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      yield Buffer.concat([...open, chunk.subarray(start, end + 1)]);
      open = [];
      start = end + 1;
    }
    if (start < chunk.length) open.push(chunk.subarray(start));
  }
  if (open.length > 0) yield Buffer.concat(open);
}

function utf16Of(bytes: Buffer): "utf-16le" | "utf-16be" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}

function decodeUtf16(bytes: Buffer, encoding: string, name: string): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`${name}: expected ${encoding.toUpperCase()} as its mark says, got half of a character`, { cause });
  }
}

function decodeUtf8(bytes: Buffer, name: string, offset = 0): string {
  const text = bytes.toString("utf8");
  if (isUtf8(bytes)) return text;
  // what was replaced reads differently when it is written again
  const again = Buffer.from(text);
  let at = 0;
  while (again[at] === bytes[at]) at++;
  const byte =
    at < bytes.length
      ? `byte 0x${bytes[at].toString(16).padStart(2, "0")} at offset ${offset + at}`
      : "half of a character at its end";
  throw new Error(`${name}: expected text in UTF-8, or in UTF-16 with its mark, got ${byte}; convert it to UTF-8`);
}
