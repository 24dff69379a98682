/**
 * Templates that are known, rendered here and now: no process need start for the models that this engine is made for. The
 * tests compare them with what Jinja makes of the same templates.
 */
import { TernionError } from "../errors.js";
import type { DataObject } from "./messages.js";
import { capitalize, strip } from "./python-strings.js";

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

/** The same, as the model in the box has it. */
const BOX_CHAT_TEMPLATE =
  "{% for message in messages %}{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}" +
  "{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";

export interface BuiltIn {
  readonly literals: readonly string[];
  render(variables: DataObject, literals: readonly string[]): string;
}

const BITNET: BuiltIn = {
  literals: ["<|eot_id|>"],
  render({ messages, bos_token: bos, add_generation_prompt: goOn }, [end]) {
    const turns = (messages as readonly DataObject[]).map(({ role, content }, i) => {
      if (typeof content === "string") return `${capitalize(role as string)}: ${strip(content)}${end}`;
      throw textOnly(i);
    });
    return `${turns.length > 0 ? bos : ""}${turns.join("")}${goOn ? "Assistant: " : ""}`;
  },
};

function textOnly(i: number): TernionError {
  const message = `messages[${i}].content: this model's chat template takes a string only. `;
  return new TernionError("CHAT_TEMPLATE", `${message}Give the text of the message.`);
}

const BUILT_IN: ReadonlyMap<string, BuiltIn> = new Map([
  [BITNET_CHAT_TEMPLATE, BITNET],
  [BOX_CHAT_TEMPLATE, BITNET],
]);

export function builtInOf(template: string): BuiltIn | undefined {
  return BUILT_IN.get(template);
}
