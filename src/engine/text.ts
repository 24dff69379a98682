/** The functions of text/ that need a host, bound to this one. */
import type { GgufValue } from "../gguf/file.js";
import { node } from "../platform/node.js";
import type { TemplateRunner } from "../platform/platform.js";
import { type ChatMessage, type ChatOptions, renderChat as render } from "../text/chat.js";
import { createTokenizer as create, type Tokenizer } from "../text/tokenizer.js";

/** Takes 0.3 s for the 128,256 tokens and 280,147 merges of Llama 3. */
export const createTokenizer = (metadata: ReadonlyMap<string, GgufValue>): Tokenizer => create(metadata, node.nextTurn);

/** of `renderChat` */
let shared: TemplateRunner | undefined;

/**
 * The prompt as text, in which the template's words and the users' look alike: to look at, not to feed a model. Rejects
 * with CHAT_TEMPLATE where the template is at fault, refuses the messages, or takes too much time or memory.
 */
export async function renderChat(messages: readonly ChatMessage[], options: ChatOptions): Promise<string> {
  shared ??= node.templateRunner();
  return render(messages, options, shared);
}
