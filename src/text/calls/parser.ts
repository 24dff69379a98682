/**
 * The text of an answer, as it comes, → text and calls of tools. However the text was cut into pieces, what comes out is
 * the same as a whole. A mark that opens calls, or half of one, is never given out as text, unless what follows it is no
 * call: then all of it is text. Blanks between text and calls are left out.
 *
 * A call is given out when it is complete and right: JSON with the name of a known tool and an object of arguments. Where a
 * grammar leaves nothing else, it is given out as it comes.
 */
import { type CallFormat, newCallId } from "./formats.js";
import { CallObject } from "./object.js";
import type { ToolCallPart } from "./tool.js";

/** What came out of an answer: text, or a part of a call. */
export type Said = { readonly text: string } | { readonly call: ToolCallPart };

/** An object that may be a call at the beginning of an answer, and what may become the beginning of one. */
const BARE = /^\{\s*"(?:name|type)"/;
const BARE_BEGINNING = /^(?:\{\s*(?:"(?:n(?:a(?:m(?:e)?)?)?|t(?:y(?:p(?:e)?)?)?)?)?)?$/;

/** Between the objects of calls, beside the marks: of a list, or of calls one after the other. */
const BETWEEN = /[\s[\],;]/;

export interface CallParserOptions {
  readonly format: CallFormat;
  /** of the tools that may be called */
  readonly names: ReadonlySet<string>;
  /** calls begin the answer, or there are none; default false */
  readonly startOnly?: boolean | undefined;
  /** there is nothing but calls; default false */
  readonly forced?: boolean | undefined;
  /**
   * Calls may begin; `text` is what has come of them. Returns whether all that follows can only be calls up to the end of the
   * answer. Default: it cannot be known.
   */
  readonly onOpen?: ((text: string) => boolean) | undefined;
}

export class CallParser {
  /** calls begun, and of them those that are complete */
  count = 0;
  completed = 0;
  readonly #format: CallFormat;
  readonly #options: CallParserOptions;
  #said: Said[] = [];
  #state: "text" | "between" | "object" = "text";
  /** what was not looked at yet */
  #rest = "";
  /** what was looked at, and becomes text if no call comes of it */
  #raw = "";
  #atStart = true;
  /** nothing but calls can come, and they are given out as they come */
  #certain = false;
  /** a call was given out since the last mark that opened calls */
  #called = false;
  #object = new CallObject();

  constructor(options: CallParserOptions) {
    this.#format = options.format;
    this.#options = options;
  }

  push(text: string): Said[] {
    this.#rest += text;
    while (this.#step());
    return this.#taken();
  }

  /** The rest, when the answer has ended. */
  end(): Said[] {
    const rest = this.#raw + this.#rest;
    const ofCall = this.#state === "text" ? this.count > 0 && rest.trim() === "" : this.#called || this.#object.begun;
    if (!ofCall && !this.#certain && !this.#options.forced) this.#sayText(rest);
    this.#raw = this.#rest = "";
    return this.#taken();
  }

  #taken(): Said[] {
    const said = this.#said;
    this.#said = [];
    return said;
  }

  /** Whether there may be more to do without more text. */
  #step(): boolean {
    if (this.#state === "text") return this.#inText();
    return this.#state === "between" ? this.#between() : this.#inObject();
  }

  #inText(): boolean {
    const { open, bare } = this.#format;
    const rest = this.#rest;
    const { startOnly = false } = this.#options;
    if (this.#atStart) {
      const begin = rest.trimStart();
      const blanks = rest.length - begin.length;
      if (bare && BARE.test(begin)) return this.#open(blanks, 0);
      if (startOnly && begin.startsWith(open)) return this.#open(blanks, open.length);
      if ((bare && BARE_BEGINNING.test(begin)) || (startOnly && open.startsWith(begin))) return false;
    }
    if (startOnly) return this.#plain();
    const at = rest.indexOf(open);
    if (at >= 0) return this.#open(at, open.length);
    this.#sayText(this.#cut(rest.length - openLength(rest, open)));
    return false;
  }

  /** No calls can begin any more. */
  #plain(): boolean {
    this.#sayText(this.#rest);
    this.#rest = "";
    return false;
  }

  /** A mark of `length` at `at`. */
  #open(at: number, length: number): boolean {
    this.#sayText(this.#cut(at));
    const blanks = this.#rest.length - this.#rest.trimStart().length;
    this.#take(blanks + length);
    this.#called = false;
    this.#object = new CallObject();
    this.#certain = this.#options.onOpen?.(this.#rest) ?? false;
    this.#state = "between";
    return true;
  }

  /** The first `length` characters of the rest without the blanks at their end, which stay. */
  #cut(length: number): string {
    const text = this.#rest.slice(0, length).trimEnd();
    this.#rest = this.#rest.slice(text.length);
    return text;
  }

  #between(): boolean {
    const { open, close } = this.#format;
    const rest = this.#rest;
    if (rest === "") return false;
    if (close !== "" && rest.startsWith(close)) return this.#close(close);
    if (rest.startsWith(open)) return this.#called ? this.#close("") : this.#fail();
    if (close.startsWith(rest) || open.startsWith(rest)) return false;
    if (rest.startsWith("{")) return this.#beginObject();
    if (!BETWEEN.test(rest[0])) return this.#fail();
    this.#take(1);
    return true;
  }

  /** Calls end with `mark`. */
  #close(mark: string): boolean {
    this.#take(mark.length);
    if (!this.#called) return this.#fail();
    this.#raw = "";
    this.#state = "text";
    return true;
  }

  /** What was looked at was no call. */
  #fail(): boolean {
    this.#sayText(this.#raw);
    this.#raw = "";
    this.#state = "text";
    return true;
  }

  #beginObject(): boolean {
    this.#object = new CallObject();
    this.#state = "object";
    return true;
  }

  #inObject(): boolean {
    const object = this.#object;
    this.#take(object.push(this.#rest));
    if (this.#certain || object.complete) this.#sayCall(object);
    if (!object.complete) return false;
    if (!object.begun) return this.#fail();
    this.#raw = "";
    this.#called = true;
    this.completed++;
    this.#object = new CallObject();
    this.#state = "between";
    return true;
  }

  /** What is new of a call. */
  #sayCall(object: CallObject): void {
    if (!object.begun) {
      const name = object.begin(this.#options.names);
      if (name === undefined) return;
      this.#said.push({ call: { index: this.count++, id: newCallId(this.#format), name } });
    }
    const text = object.takeArguments();
    if (text !== "") this.#said.push({ call: { index: this.count - 1, arguments: text } });
  }

  #take(length: number): void {
    this.#raw += this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
  }

  #sayText(text: string): void {
    if (text === "") return;
    this.#atStart = false;
    this.#said.push({ text });
  }
}

/** Length of the longest end of `text` that is a beginning of `mark`. */
function openLength(text: string, mark: string): number {
  for (let n = Math.min(mark.length - 1, text.length); n > 0; n--) if (text.endsWith(mark.slice(0, n))) return n;
  return 0;
}
