/**
 * Ids of an answer → what its pieces say: text as it becomes certain, up to a stop string, and parts of calls of tools. Stop
 * strings are looked for in the text, and not in calls.
 */
import * as check from "../check.js";
import type { CallParser, Said } from "../text/calls/parser.js";
import type { ToolCallPart } from "../text/calls/tool.js";
import { StopStrings, TextStream } from "../text/stream.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { Calls } from "./calls.js";

/** Of one step: the text, and then a part of a call. */
export interface Heard {
  readonly text: string;
  readonly toolCall?: ToolCallPart;
}

export interface AnswerTextOptions {
  readonly stop?: string | readonly string[] | undefined;
  readonly calls?: Calls | undefined;
}

export class AnswerText {
  /** the stop string that ended it */
  stop: string | undefined;
  readonly #tokenizer: Tokenizer;
  readonly #stream = new TextStream();
  readonly #stops: StopStrings;
  readonly #calls: CallParser | undefined;
  /** a special token that has a text: it opens calls */
  readonly #mark: number | undefined;
  readonly #single: boolean;

  constructor(tokenizer: Tokenizer, { stop = [], calls }: AnswerTextOptions) {
    this.#tokenizer = tokenizer;
    this.#stops = new StopStrings(check.strings("stop", stop));
    this.#single = calls?.use.parallel === false;
    this.#calls = calls?.parser(() => calls.certain);
    this.#mark = calls?.markOf(tokenizer);
  }

  /** Calls that are complete. */
  get calls(): number {
    return this.#calls?.completed ?? 0;
  }

  /** Nothing of what follows belongs to the answer. */
  get ended(): boolean {
    return this.stop !== undefined || (this.#single && this.calls > 0);
  }

  /** What is certain after one more token, and was not before; one at least. */
  push(id: number): Heard[] {
    const silent = this.#tokenizer.isSpecial(id) && id !== this.#mark;
    const text = this.#stream.push(silent ? new Uint8Array() : this.#tokenizer.bytes(id));
    return this.#heard(this.#calls?.push(text) ?? [{ text }]);
  }

  /** What is left; an unfinished character at the end completes no stop string. */
  rest(): Heard[] {
    if (this.stop !== undefined) return [{ text: "" }];
    const text = this.#stream.flush();
    const heard = this.#heard(
      this.#calls === undefined ? [{ text }] : [...this.#calls.push(text), ...this.#calls.end()],
    );
    const last = { text: this.stop === undefined ? this.#stops.flush() : "" };
    return last.text === "" ? heard : [...heard, last];
  }

  #heard(said: readonly Said[]): Heard[] {
    const heard: Heard[] = [];
    let open = "";
    for (const each of said) {
      if (this.stop !== undefined) break;
      if ("text" in each) {
        const { text, stop } = this.#stops.push(each.text);
        this.stop = stop;
        open += text;
      } else {
        heard.push({ text: open + this.#stops.flush(), toolCall: each.call });
        open = "";
      }
    }
    return open === "" && heard.length > 0 ? heard : [...heard, { text: open }];
  }
}
