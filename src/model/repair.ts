/**
 * Known defects of official model files, each mended in a copy of the metadata and told. Nothing is mended silently, and
 * nothing that is merely unusual is touched; a sound file comes back with no repairs. Mending twice mends nothing more.
 */
import * as check from "../check.js";
import type { GgufValue } from "../gguf/file.js";
import { type Metadata, stringsOf, textOf } from "../gguf/metadata.js";
import { BITNET_CHAT_TEMPLATE } from "../text/chat.js";

export interface Repair {
  /** the metadata key */
  readonly key: string;
  /** what was wrong with the file */
  readonly problem: string;
  /** what is used in its place */
  readonly mended: string;
}

interface Fix extends Repair {
  readonly value: GgufValue;
}

const END_OF_TURN = "<|eot_id|>";
const FIXES = [fixPreTokenizer, fixChatTemplate, fixEndOfTurn];

export function repairMetadata(metadata: Metadata): { metadata: Map<string, GgufValue>; repairs: Repair[] } {
  if (typeof metadata?.get !== "function") throw check.wrongType("metadata", "a Map as readGguf gives it", metadata);
  const mended = new Map(metadata);
  const repairs: Repair[] = [];
  for (const fix of FIXES) {
    const found = fix(metadata);
    if (found === undefined) continue;
    const { value, ...repair } = found;
    mended.set(repair.key, value);
    repairs.push(repair);
  }
  return { metadata: mended, repairs };
}

/** The converter of bitnet-b1.58-2B-4T left the key out; its vocabulary is Llama 3's. */
function fixPreTokenizer(metadata: Metadata): Fix | undefined {
  const key = "tokenizer.ggml.pre";
  if (metadata.has(key) || metadata.get("tokenizer.ggml.model") !== "gpt2") return undefined;
  return { key, problem: "absent", mended: '"llama-bpe", the Llama 3 split', value: "llama-bpe" };
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
  return { key, problem, mended: `"Role: content${END_OF_TURN}" for each turn`, value: BITNET_CHAT_TEMPLATE };
}

/** Without the key a chat would go on past the end of its turn. */
function fixEndOfTurn(metadata: Metadata): Fix | undefined {
  const key = "tokenizer.ggml.eot_token_id";
  const id = endOfTurnId(metadata);
  if (metadata.has(key) || id === undefined) return undefined;
  return { key, problem: "absent", mended: `${id}, the id of ${END_OF_TURN}`, value: id };
}

function endOfTurnId(metadata: Metadata): number | undefined {
  const id = stringsOf(metadata, "tokenizer.ggml.tokens")?.lastIndexOf(END_OF_TURN) ?? -1;
  return id < 0 ? undefined : id;
}
