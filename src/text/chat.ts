/**
 * Messages → a prompt, by the Jinja template of the model file. The template runs in a process of its own, with bounds of
 * time and memory. It may write special tokens; what people wrote may not: in `ChatTemplate.encode` no special token comes
 * of the text of a message, whatever the template does with it.
 */
import * as check from "../check.js";
import { printable, quote, TernionError } from "../errors.js";
import type { TemplateAnswer, TemplateFailure, TemplateJob, TemplateRunner } from "../platform/platform.js";
import { builtInOf } from "./built-in.js";
import { type CallFormat, formatOf } from "./calls/formats.js";
import { toolsVariable, withCalls } from "./calls/prompt.js";
import type { CheckedTool } from "./calls/tool.js";
import { type ChatMessage, checkMessages, checkVariables, type DataObject } from "./messages.js";
import { Provenance } from "./provenance.js";
import type { PromptPart, Tokenizer } from "./tokenizer.js";

export { BITNET_CHAT_TEMPLATE } from "./built-in.js";
export { type ChatMessage, checkMessages } from "./messages.js";

/** What a chat template gets beside the messages, and how long it may take. */
export interface TemplateOptions {
  /** what the template gets beside the messages: tools, documents, enable_thinking, ... */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined;
  /** most milliseconds for rendering; default 5000 */
  readonly templateTimeoutMs?: number | undefined;
  /** end with the opening of the assistant's turn; default true */
  readonly addGenerationPrompt?: boolean | undefined;
  /**
   * The last message, one of the assistant, is the beginning of the answer, which goes on from its last word: the template
   * gets the messages before it, and its text follows as it is. Default false
   */
  readonly continueFinal?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of `renderChat`. */
export interface ChatOptions extends TemplateOptions {
  /** Jinja source */
  readonly template: string;
  /** text of `bos_token` in the template; default "" */
  readonly bosToken?: string | undefined;
  /** text of `eos_token` in the template; default "" */
  readonly eosToken?: string | undefined;
}

export const TEMPLATE_CHECKS: check.OptionChecks<TemplateOptions> = {
  templateVariables: checkVariables,
  templateTimeoutMs: check.number(1, 2 ** 31 - 1),
  addGenerationPrompt: check.boolean,
  continueFinal: check.boolean,
  signal: check.signal,
};
const RENDER_CHECKS: check.OptionChecks<ChatOptions> = {
  ...TEMPLATE_CHECKS,
  template: check.string,
  bosToken: check.string,
  eosToken: check.string,
};

const TIMEOUT_MS = 5000;
const MOST_TEMPLATE_CHARACTERS = 1 << 20;

/**
 * The prompt as text, in which the template's words and the users' look alike: to look at, not to feed a model. Rejects
 * with CHAT_TEMPLATE where the template is at fault, refuses the messages, or takes too much time or memory.
 */
export async function renderChat(
  messages: readonly ChatMessage[],
  options: ChatOptions,
  runner: TemplateRunner,
): Promise<string> {
  const { bosToken = "", eosToken = "" } = check.options(options, RENDER_CHECKS);
  const template = check.string("template", options.template);
  const { before, beginning } = parted(checkMessages(messages), options);
  const data = dataOf(before, options);
  const renderer = new Renderer(runner, template, options);
  const tokens = { bos_token: bosToken, eos_token: eosToken };
  return (await renderer.render({ ...data, ...tokens }, await renderer.literals())) + beginning;
}

/** The chat template of a model and its tokenizer. */
export class ChatTemplate {
  /** of calls of tools; undefined where the template does not show tools */
  readonly callFormat: CallFormat | undefined;
  readonly #tokenizer: Tokenizer;
  readonly #source: string;
  readonly #provenance: Provenance;
  readonly #runner: TemplateRunner;
  /** the template's, as the process has found them */
  #literals: readonly string[] | undefined;

  /** `runner` ends with this. */
  constructor(tokenizer: Tokenizer, source: string, runner: TemplateRunner) {
    this.#runner = runner;
    this.callFormat = formatOf(source);
    this.#tokenizer = tokenizer;
    this.#source = source;
    this.#provenance = new Provenance(tokenizer);
  }

  /**
   * The prompt as ids: those of `encode(await renderChat(...), { parseSpecial: true })` where no message has the text of
   * a special token. Where one does, it stays plain characters. BOS comes first if the vocabulary asks for it, once. Calls
   * in the messages and `tools` are shown as calls/prompt.ts says.
   */
  async encode(
    messages: readonly ChatMessage[],
    options: TemplateOptions = {},
    tools: readonly CheckedTool[] = [],
  ): Promise<number[]> {
    const { before, beginning } = parted(checkMessages(messages), check.options(options, TEMPLATE_CHECKS));
    const given = withCalls(before, tools, this.callFormat);
    const own = dataOf(given, check.options(options, TEMPLATE_CHECKS));
    const shown = tools.length > 0 && this.callFormat !== undefined;
    const data = shown ? { ...own, tools: toolsVariable(tools) } : own;
    const renderer = new Renderer(this.#runner, this.#source, options);
    this.#literals ??= await renderer.literals();
    const marked = this.#provenance.begin(this.#literals, data);
    const { bos, eos } = this.#tokenizer;
    const tokens = {
      bos_token: bos === undefined ? "" : marked.variable(this.#tokenizer.piece(bos)),
      eos_token: eos === undefined ? "" : marked.variable(this.#tokenizer.piece(eos)),
    };
    const render = (variables: DataObject) => renderer.render({ ...variables, ...tokens }, marked.literals);
    const text = await render(data);
    const twins = marked.mayBeComposed(text) ? marked.twins() : undefined;
    // a template may fail over twins, as one that looks for a word
    const ofTwins = twins && (await render(twins).catch(() => options.signal?.throwIfAborted()));
    const parts = followedBy(marked.parts(text, ofTwins ?? undefined), beginning);
    return this.#tokenizer.encodeAsync(parts, { signal: options.signal });
  }

  close(): void {
    this.#runner.close();
  }
}

/** The messages for the template, and the words with which the answer begins. */
function parted(messages: readonly ChatMessage[], { continueFinal, addGenerationPrompt }: TemplateOptions) {
  if (!continueFinal) return { before: messages, beginning: "" };
  if (addGenerationPrompt === false) {
    throw new TypeError("addGenerationPrompt: expected true with continueFinal, which continues the assistant's turn");
  }
  const last = messages.length - 1;
  const { role, content, tool_calls: calls } = messages[last] ?? {};
  if (role !== "assistant") {
    throw new RangeError(
      `messages[${last}].role: expected "assistant" with continueFinal, got ${JSON.stringify(role)}`,
    );
  }
  if (typeof content !== "string" || calls !== undefined) {
    throw new RangeError(`messages[${last}].content: expected text alone with continueFinal, got something else`);
  }
  return { before: messages.slice(0, last), beginning: content };
}

/** Plain text after the parts: one text with what it follows, as tokens may join them. */
function followedBy(parts: readonly PromptPart[], text: string): readonly PromptPart[] {
  const last = parts[parts.length - 1];
  if (text === "") return parts;
  return typeof last === "string" ? [...parts.slice(0, -1), last + text] : [...parts, text];
}

/** What the template gets, but for its special tokens; `messages` are checked. */
function dataOf(messages: readonly ChatMessage[], options: TemplateOptions): DataObject {
  return {
    ...checkVariables("templateVariables", options.templateVariables ?? {}),
    add_generation_prompt: options.addGenerationPrompt ?? true,
    messages: messages as DataObject[string],
  };
}

class Renderer {
  readonly #runner: TemplateRunner;
  readonly #template: string;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number;

  constructor(runner: TemplateRunner, template: string, { signal, templateTimeoutMs = TIMEOUT_MS }: TemplateOptions) {
    if (template.length > MOST_TEMPLATE_CHARACTERS) {
      const message = `expected at most ${MOST_TEMPLATE_CHARACTERS} characters, got ${template.length}`;
      throw failure(`${message}.`);
    }
    this.#runner = runner;
    this.#template = template;
    this.#signal = signal;
    this.#timeoutMs = templateTimeoutMs;
  }

  async literals(): Promise<readonly string[]> {
    const known = builtInOf(this.#template);
    if (known !== undefined) return known.literals;
    const answer = await this.#run({});
    return "literals" in answer ? answer.literals : this.#refuse(answer, {});
  }

  async render(variables: DataObject, literals: readonly string[]): Promise<string> {
    const known = builtInOf(this.#template);
    if (known !== undefined) return known.render(variables, literals);
    const answer = await this.#run({ render: { variables, literals } });
    return "text" in answer ? answer.text : this.#refuse(answer, variables);
  }

  #run(job: Pick<TemplateJob, "render">): Promise<TemplateAnswer> {
    return this.#runner.run({ ...job, template: this.#template, timeoutMs: this.#timeoutMs }, this.#signal);
  }

  #refuse(answer: TemplateAnswer, variables: DataObject): never {
    const { failed, message, construct = "" } = answer as TemplateFailure;
    const at = construct === "" ? "" : ` at ${quote(construct)}`;
    const shown = quote(message, 200);
    switch (failed) {
      case "syntax":
        throw failure(`expected Jinja, got ${shown}${at || ` from ${quote(this.#template)}`}.`);
      case "render":
        throw failure(`was not understood${at}: ${shown}.`);
      case "size":
        throw failure(`expected a prompt that a model can read, got ${message}.`);
      case "raised":
        throw failure(`it refuses these messages: ${shown}.`, raisedAdvice(message, variables));
      default:
        failed satisfies never;
        throw failure(shown);
    }
  }
}

function raisedAdvice(message: string, { messages }: DataObject): string {
  const roles = (messages as readonly DataObject[]).map(({ role }) => String(role)).join(", ");
  return /role|alternat|order|first|last/i.test(message)
    ? `Check the order of the roles (${printable(roles)}).`
    : "Give messages as it asks for them.";
}

const ADVICE = "Use another template, or generate() with a prompt of your own form.";

function failure(problem: string, advice = ADVICE): TernionError {
  return new TernionError("CHAT_TEMPLATE", `chat template: ${problem} ${advice}`);
}
