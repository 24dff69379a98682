/**
 * The calls of one answer: how they are spelled, and what keeps them to the schemas of their tools. Text is free up to the
 * mark that opens calls; from there on only calls may follow, up to the end. Where a call is forced, nothing is free; where
 * the answer has a shape as well, it is of that shape or calls.
 */
import { choice, type Expression, repeat, sequence, text } from "../grammar/expression.js";
import { type Grammars, readShape } from "../grammar/grammar.js";
import type { Guide } from "../grammar/guide.js";
import type { Matcher } from "../grammar/matcher.js";
import { jsonSchema } from "../grammar/schema/schema.js";
import type { Shape } from "../grammar/shape.js";
import { aroundArguments, type CallFormat, callableNames } from "../text/calls/formats.js";
import { CallParser } from "../text/calls/parser.js";
import type { CheckedTool, ToolUse } from "../text/calls/tool.js";
import { TextStream } from "../text/stream.js";
import type { Tokenizer } from "../text/tokenizer.js";

export class Calls {
  #guide: CallGuide | undefined;

  constructor(
    readonly use: ToolUse,
    readonly format: CallFormat,
    /** what an answer without calls keeps to */
    readonly shape: Shape | undefined,
  ) {}

  /** Calls have begun, and nothing else can follow. */
  get certain(): boolean {
    return this.#guide?.state === "calls";
  }

  /** A parser of the answer. */
  parser(onOpen: (text: string) => boolean): CallParser {
    const { format, use, shape } = this;
    const names = callableNames(use);
    return new CallParser({ format, names, startOnly: shape !== undefined, forced: use.forced, onOpen });
  }

  /** The token that opens calls, if it is a special one, which no text spells. */
  markOf(tokenizer: Tokenizer): number | undefined {
    const id = tokenizer.idOf(this.format.open);
    return id !== undefined && tokenizer.isSpecial(id) ? id : undefined;
  }

  /** Rejects with GRAMMAR where the schema of a tool cannot be honoured. */
  async guide(grammars: Grammars): Promise<Guide> {
    const mark = this.markOf(grammars.tokenizer);
    const spelled = mark === undefined || this.format.bare;
    if (spelled && this.use.forced) {
      const matcher = await this.#matcher(grammars, "forced", () => this.#opened());
      this.#guide = new CallGuide(this, matcher, { state: "calls" });
    } else if (spelled && this.shape !== undefined) {
      const { expression } = readShape(this.shape);
      const matcher = await this.#matcher(grammars, "either", () => choice(this.#opened(), expression()));
      this.#guide = new CallGuide(this, matcher, { state: "calls" });
    } else {
      const free = this.use.forced ? undefined : this.shape && (await grammars.matcher(this.shape));
      const matcher = await this.#matcher(grammars, "calls", () => callsExpression(this.use, this.format));
      this.#guide = new CallGuide(this, matcher, { state: this.use.forced ? "mark" : "free", mark, free });
    }
    return this.#guide;
  }

  /** Calls with the text that opens them, if one is needed. */
  #opened(): Expression {
    const calls = callsExpression(this.use, this.format);
    return this.format.bare ? calls : sequence(text(this.format.open), calls);
  }

  #matcher(grammars: Grammars, kind: string, expression: () => Expression): Promise<Matcher> {
    const { use, format, shape } = this;
    const { source } = shape === undefined ? { source: "" } : readShape(shape);
    const madeOf = [kind, format.name, use.tools, use.callable.map(({ name }) => name), use.parallel, source];
    return grammars.matcherOf("tools", JSON.stringify(madeOf), expression);
  }
}

/** What follows the mark that opens calls. */
function callsExpression({ tools, callable, parallel }: ToolUse, format: CallFormat): Expression {
  const call = choice(...callable.map((tool) => callExpression(tool, tools.indexOf(tool), format)));
  const others = parallel ? [repeat(sequence(text(format.between), call), 0)] : [];
  return sequence(text(format.before), call, ...others, text(format.after));
}

function callExpression({ name, parameters }: CheckedTool, index: number, format: CallFormat): Expression {
  const { begin, end } = aroundArguments(format, name);
  return sequence(text(begin), jsonSchema(parameters, `tools[${index}].parameters`), text(end));
}

interface Beginning {
  /** nothing but the mark may come; anything may come; calls have begun */
  readonly state: "mark" | "free" | "calls";
  /** a special token that opens calls */
  readonly mark?: number | undefined;
  /** what an answer without calls keeps to, unless it begins with the mark */
  readonly free?: Matcher | undefined;
}

class CallGuide implements Guide {
  state: Beginning["state"];
  readonly #calls: Matcher;
  readonly #beginning: Beginning;
  readonly #stream = new TextStream();
  readonly #parser: CallParser;
  readonly #tokenizer: Tokenizer;
  #atStart = true;

  constructor(calls: Calls, matcher: Matcher, beginning: Beginning) {
    this.#calls = matcher;
    this.#beginning = beginning;
    this.state = beginning.state;
    this.#tokenizer = matcher.tokenizer;
    this.#parser = calls.parser((opened) => this.#open(opened));
  }

  get done(): boolean {
    return this.state === "calls" ? this.#calls.done : (this.#beginning.free?.done ?? false);
  }

  get isFree(): boolean {
    return this.state === "free" && this.#beginning.free === undefined;
  }

  mask(): Uint32Array | undefined {
    if (this.state === "calls") return this.#calls.mask();
    const { mark, free } = this.#beginning;
    if (this.state === "mark") return withId(new Uint32Array(Math.ceil(this.#tokenizer.size / 32)), mark);
    const mask = free?.mask();
    return mask !== undefined && this.#atStart ? withId(mask.slice(), mark) : mask;
  }

  accept(id: number): void {
    const { mark, free } = this.#beginning;
    if (this.state === "calls") this.#calls.accept(id);
    else if (free !== undefined && !(this.#atStart && id === mark)) free.accept(id);
    else this.#watch(id === mark || !this.#tokenizer.isSpecial(id) ? this.#tokenizer.bytes(id) : new Uint8Array());
    this.#atStart = false;
  }

  forced(most: number): Uint8Array {
    if (this.state === "calls") return this.#calls.forced(most);
    return this.#beginning.free?.forced(most) ?? new Uint8Array();
  }

  /** Looks for the mark in free text. */
  #watch(bytes: Uint8Array): void {
    this.#parser.push(this.#stream.push(bytes));
  }

  /** What has come since the mark may be the beginning of calls, or not. */
  #open(opened: string): boolean {
    if (this.#calls.acceptText(opened)) this.state = "calls";
    return this.state === "calls";
  }
}

function withId(mask: Uint32Array, id: number | undefined): Uint32Array {
  if (id !== undefined) mask[id >>> 5] |= 1 << (id & 31);
  return mask;
}
