/**
 * BitNet b1.58 of Microsoft: bitnet-b1.58-2B-4T and its older release, whose architecture is "bitnet-25". Ternary matrices,
 * each after a norm of its own (the sub-norms come before attn_output and ffn_down), the squared ReLU, and the vocabulary of
 * Llama 3. The formulas are in docs/model.md.
 */
import { type Metadata, stringsOf, textOf } from "../../gguf/metadata.js";
import { BITNET_CHAT_TEMPLATE } from "../../text/chat.js";
import { type Family, type Fix, plainLayer, withSubNorms } from "../family.js";

export const bitnet: Family = {
  architectures: ["bitnet-b1.58", "bitnet-25"],
  activation: "relu2",
  ropePairs: "halves",
  layer: (sizes) => withSubNorms(plainLayer(sizes)),
  repairs: [fixPreTokenizer, fixChatTemplate, fixEndOfTurn],
};

const END_OF_TURN = "<|eot_id|>";

/** The converter of bitnet-b1.58-2B-4T left the key out; its vocabulary is Llama 3's. */
function fixPreTokenizer(metadata: Metadata): Fix | undefined {
  const key = "tokenizer.ggml.pre";
  if (metadata.has(key) || metadata.get("tokenizer.ggml.model") !== "gpt2") return undefined;
  return { key, problem: "absent", replacement: '"llama-bpe", the Llama 3 split', value: "llama-bpe" };
}

/**
 * The template in the official file is that of an early experiment ("Human:", "BITNETAssistant:", no end of turn); the
 * model was trained on the one of its model card.
 */
function fixChatTemplate(metadata: Metadata): Fix | undefined {
  const key = "tokenizer.chat_template";
  const template = metadata.get(key);
  const bitnet = textOf(metadata, "general.architecture")?.startsWith("bitnet");
  const absent = template === undefined && bitnet === true && endOfTurnId(metadata) !== undefined;
  const wrong = typeof template === "string" && template.includes("BITNETAssistant:");
  if (!absent && !wrong) return undefined;
  const problem = absent
    ? "absent"
    : 'turns begin with "Human:" and "BITNETAssistant:", which the model was not trained on';
  return { key, problem, replacement: `"Role: content${END_OF_TURN}" for each turn`, value: BITNET_CHAT_TEMPLATE };
}

/** Without the key a chat would go on past the end of its turn. */
function fixEndOfTurn(metadata: Metadata): Fix | undefined {
  const key = "tokenizer.ggml.eot_token_id";
  const id = endOfTurnId(metadata);
  if (metadata.has(key) || id === undefined) return undefined;
  return { key, problem: "absent", replacement: `${id}, the id of ${END_OF_TURN}`, value: id };
}

function endOfTurnId(metadata: Metadata): number | undefined {
  const id = stringsOf(metadata, "tokenizer.ggml.tokens")?.lastIndexOf(END_OF_TURN) ?? -1;
  return id < 0 ? undefined : id;
}
