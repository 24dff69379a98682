/** A chat with tools: messages → the ids of the prompt, and how the calls in the answer are spelled. */
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import { type Shape, shapeOf } from "../grammar/shape.js";
import { HERMES } from "../text/calls/formats.js";
import { TOOL_OPTION_CHECKS, type ToolOptions, toolUseOf } from "../text/calls/tool.js";
import {
  type ChatMessage,
  type ChatTemplate,
  checkMessages,
  TEMPLATE_CHECKS,
  type TemplateOptions,
} from "../text/chat.js";
import { Calls } from "./calls.js";

export interface ChatPromptOptions extends TemplateOptions, ToolOptions {}

export const CHAT_PROMPT_CHECKS: check.OptionChecks<ChatPromptOptions> = { ...TEMPLATE_CHECKS, ...TOOL_OPTION_CHECKS };

export interface Chat {
  encode(): Promise<readonly number[]>;
  /** of the answer */
  readonly calls: Calls | undefined;
}

/** `options` are checked; they may have others beside. */
export function chatOf(
  template: ChatTemplate | undefined,
  messages: readonly ChatMessage[],
  options: ChatPromptOptions & Shape & { readonly ignoreEnd?: boolean | undefined },
): Chat {
  const given = checkMessages(messages);
  const use = toolUseOf(options);
  if (use !== undefined && options.ignoreEnd) {
    throw new TypeError("ignoreEnd: expected false with tools, whose calls end by themselves");
  }
  const format = template?.callFormat ?? HERMES;
  return {
    encode: async () => {
      if (template === undefined) throw noTemplate();
      return template.encode(given, check.values(options, TEMPLATE_CHECKS), use?.tools);
    },
    calls: use && new Calls(use, format, shapeOf(options)),
  };
}

function noTemplate(): TernionError {
  const message = "The model file has no chat template: expected metadata key tokenizer.chat_template. ";
  return new TernionError("CHAT_TEMPLATE", `${message}Use generate() with a prompt of your own form.`);
}
