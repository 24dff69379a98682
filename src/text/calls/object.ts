/**
 * One JSON object that calls a tool, as its text comes: where it ends, the name, and the text of the arguments. Only a
 * complete object is checked; of one that a grammar writes the arguments can be taken before.
 */
import { isRecord } from "../../check.js";

/** The beginning of a call up to its arguments, in the order in which models write it. */
const HEAD = /^\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/;

export class CallObject {
  complete = false;
  /** the name is known, and arguments can be taken */
  begun = false;
  #text = "";
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** where values ended that are directly within this object */
  readonly #ends: number[] = [];
  /** where the arguments begin in the text, and up to where they were taken */
  #start = 0;
  #taken = 0;
  /** arguments that do not stand in the text as they are */
  #own: string | undefined;

  /** Gives how much of `text` belongs to the object. */
  push(text: string): number {
    const before = this.#text.length;
    let at = 0;
    while (at < text.length && !this.complete) this.#look(text[at], before + ++at);
    this.#text += text.slice(0, at);
    return at;
  }

  #look(character: string, end: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (character === '"') this.#inString = !this.#inString;
    else if (this.#inString) this.#escaped = character === "\\";
    else if (character === "{" || character === "[") this.#depth++;
    else if (character === "}" || character === "]") {
      this.#depth--;
      if (this.#depth === 1) this.#ends.push(end);
      this.complete = this.#depth === 0;
    }
  }

  /**
   * The name, where the object calls one of `names`: of an incomplete one where it begins as models write it, of a complete
   * one where it is JSON, with an object of arguments.
   */
  begin(names: ReadonlySet<string>): string | undefined {
    const head = HEAD.exec(this.#text);
    const call = this.complete ? callOf(this.#text) : head && { name: parsed(head[1]), own: undefined };
    if (typeof call?.name !== "string" || !names.has(call.name)) return undefined;
    this.begun = true;
    if (head === null) this.#own = call.own;
    else this.#start = this.#taken = head[0].length;
    return call.name;
  }

  /** Of the text of the arguments what has come, and was not taken yet. */
  takeArguments(): string {
    const source = this.#own ?? this.#text;
    const end = this.#own === undefined ? this.#ends.find((each) => each > this.#start) : undefined;
    const text = source.slice(this.#taken, end);
    this.#taken += text.length;
    return text;
  }
}

/** What a complete object calls, and the text of its arguments; undefined where it is no call. */
function callOf(text: string): { readonly name: unknown; readonly own: string } | undefined {
  const value = parsed(text);
  if (!isRecord(value)) return undefined;
  const { name, arguments: given = value.parameters ?? {} } = value;
  // some write the arguments as a string that holds JSON
  const object = typeof given === "string" ? parsed(given) : given;
  return isRecord(object) ? { name, own: typeof given === "string" ? given : JSON.stringify(given) } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
