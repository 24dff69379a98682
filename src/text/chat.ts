/**
 * Messages → a prompt, by the Jinja template of the model file. A template may write special tokens; what people wrote
 * may not: in `encodeChat` no special token begins inside a role or a content, whatever its text.
 */
import { Template } from "@huggingface/jinja";
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { Tokenizer } from "./tokenizer.js";

export interface ChatMessage {
  /** "system", "user", "assistant", or what else the template knows */
  readonly role: string;
  readonly content: string;
}

export interface ChatOptions {
  /** Jinja source */
  readonly template: string;
  /** text of `bos_token` in the template; default "" */
  readonly bosToken?: string | undefined;
  /** text of `eos_token` in the template; default "" */
  readonly eosToken?: string | undefined;
  /** end with the opening of the assistant's turn; default true */
  readonly addGenerationPrompt?: boolean | undefined;
}

/**
 * The template that bitnet-b1.58-2B-4T was trained with, as its model card has it: BOS, `Role: content<|eot_id|>` for
 * every turn, then `Assistant: `.
 */
export const BITNET_CHAT_TEMPLATE =
  "{% for message in messages %}" +
  "{% set content = message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' %}" +
  "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}" +
  "{{ content }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";

const CHAT_CHECKS: check.OptionChecks<ChatOptions> = {
  template: check.string,
  bosToken: check.string,
  eosToken: check.string,
  addGenerationPrompt: check.boolean,
};

/** The prompt as text. To feed a model use `encodeChat`: this text no longer tells the template's words from the users'. */
export function renderChat(messages: readonly ChatMessage[], options: ChatOptions): string {
  const { template: source } = check.options(options, CHAT_CHECKS);
  checkMessages(messages);
  const template = compile(check.string("template", source));
  try {
    return template.render({
      messages: messages.map(({ role, content }) => ({ role, content })),
      bos_token: options.bosToken ?? "",
      eos_token: options.eosToken ?? "",
      add_generation_prompt: options.addGenerationPrompt ?? true,
    });
  } catch (cause) {
    // raise_exception() of the template ends here too: it names roles or an order that the model does not know
    const message = `chat template: expected it to accept ${messages.length} messages, got "${reason(cause)}". `;
    const roles = `Check the order of the roles (${messages.map(({ role }) => role).join(", ")}).`;
    throw new TernionError("CHAT_TEMPLATE", message + roles, { cause });
  }
}

/**
 * The prompt as ids: those of `encode(renderChat(...), { parseSpecial: true })` where no message has the text of a
 * special token. Where one does, it stays plain characters. BOS comes first if the vocabulary asks for it, once.
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: Pick<ChatOptions, "template" | "addGenerationPrompt">,
): number[] {
  checkMessages(messages);
  const { bos, eos } = tokenizer;
  const mark = unusedCharacter([options.template, ...messages.flatMap(({ role, content }) => [role, content])]);
  const marked = messages.map(({ role, content }) => ({
    role: markSpecial(role, tokenizer.specialPieces, mark),
    content: markSpecial(content, tokenizer.specialPieces, mark),
  }));
  const rendered = renderChat(marked, {
    ...options,
    bosToken: bos === undefined ? "" : tokenizer.piece(bos),
    eosToken: eos === undefined ? "" : tokenizer.piece(eos),
  });
  return tokenizer.encode(rendered, { parseSpecial: true, literalMark: mark });
}

/**
 * `text` with `mark` before each place where a special token begins, or could begin if the template went on with the
 * rest of it. A special token that the template begins (`<|` + role + `|>`) is its own, and stays possible. Ordinary
 * text is not touched, so that a template which looks into a content sees what was written.
 */
function markSpecial(text: string, pieces: readonly string[], mark: string): string {
  const begins = (rest: string) => pieces.some((piece) => rest.startsWith(piece) || piece.startsWith(rest));
  const longest = Math.max(0, ...pieces.map((piece) => piece.length));
  const firsts = new Set(pieces.map((piece) => piece[0]));
  let marked = "";
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    // the template may trim what follows the last word
    if (!firsts.has(text[i]) || !begins(text.slice(i, i + longest).trimEnd())) continue;
    marked += text.slice(done, i) + mark;
    done = i;
  }
  return marked + text.slice(done);
}

/** A character for private use that is in none of the texts. */
function unusedCharacter(texts: readonly string[]): string {
  for (let code = 0xe000; code < 0xf900; code++) {
    const character = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(character))) return character;
  }
  throw new TernionError(
    "CHAT_TEMPLATE",
    "messages: expected one unused character of U+E000 to U+F8FF, got all of them in use. Remove one from the messages.",
  );
}

function compile(source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    const message = `chat template: expected Jinja, got "${reason(cause)}" from ${JSON.stringify(source.slice(0, 80))}. `;
    throw new TernionError("CHAT_TEMPLATE", `${message}Give a template of your own.`, { cause });
  }
}

export function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages)) throw check.wrongType("messages", "an array", messages);
  for (const [i, message] of messages.entries()) {
    for (const field of ["role", "content"] as const) {
      check.string(`messages[${i}].${field}`, message?.[field]);
    }
  }
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
