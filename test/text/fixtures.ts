/**
 * Vocabularies for the tests of this folder: the real one of Llama 3, repaired as the engine does it, and a small one that
 * is made here, of the 256 bytes, a few merges and the token types that occur in GGUF files.
 */

import { readGguf } from "../../src/engine/input.js";
import type { GgufArray, GgufValue } from "../../src/gguf/file.js";
import { repairMetadata } from "../../src/model/repair.js";
import { BYTE_CHARACTERS } from "../../src/text/byte-alphabet.js";
import { llama3Vocabulary } from "../vocabulary.js";

export async function llama3Metadata(): Promise<Map<string, GgufValue>> {
  const { metadata } = await readGguf(await llama3Vocabulary());
  return repairMetadata(metadata).metadata;
}

export const SMALL_MERGES = ["h e", "l l", "he ll", "hell o", "Ġ hello", "U s", "e r", "Us er", "0 1", "< |", "| >"];
/** name and GGUF type of each token after those of bytes and merges */
export const SMALL_ADDED = [
  ["<|begin_of_text|>", 3],
  ["<|end_of_text|>", 3],
  ["<|eot_id|>", 3],
  ["<tool>", 4],
  ["<unk>", 2],
  ["sys", 3], // a control token that is a word, and so a whole pre-token
] as const;

export function strings(values: readonly string[]): GgufArray {
  return { type: "STRING", values };
}

/** `changes` replaces keys; undefined removes one. */
export function smallMetadata(changes: Record<string, GgufValue | undefined> = {}): Map<string, GgufValue> {
  const plain = [...BYTE_CHARACTERS, ...SMALL_MERGES.map((merge) => merge.replace(" ", ""))];
  const types = [...plain.map(() => 1), ...SMALL_ADDED.map(([, type]) => type)];
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", "bitnet-b1.58"],
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "llama-bpe"],
    ["tokenizer.ggml.tokens", strings([...plain, ...SMALL_ADDED.map(([name]) => name)])],
    ["tokenizer.ggml.token_type", { type: "I32", values: Int32Array.from(types) }],
    ["tokenizer.ggml.merges", strings(SMALL_MERGES)],
    ["tokenizer.ggml.bos_token_id", plain.length],
    ["tokenizer.ggml.eos_token_id", plain.length + 1],
    ["tokenizer.ggml.eot_token_id", plain.length + 2],
    ["tokenizer.ggml.add_bos_token", true],
  ]);
  return changed(metadata, changes);
}

/** name, score and GGUF type of the tokens of a small SentencePiece vocabulary, but for those of bytes */
export const SCORED_PIECES = [
  ["<unk>", 0, 2],
  ["<s>", 0, 3],
  ["</s>", 0, 3],
  ["\u2581he", -1, 1],
  ["ll", -2, 1],
  ["\u2581hell", -3, 1],
  ["\u2581hello", -4, 1],
  ["he", -5, 1],
  ["<tool>", 0, 4],
  ["spare", -6, 5], // unused: no text becomes it
  ...Array.from("\u2581helo", (letter, i) => [letter, -7 - i, 1] as const),
] as const;

/** Of SentencePiece; `changes` as above. */
export function scoredMetadata(changes: Record<string, GgufValue | undefined> = {}): Map<string, GgufValue> {
  const bytes = Array.from({ length: 256 }, (_, byte) => {
    return [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const;
  });
  const all = [...SCORED_PIECES.slice(0, 3), ...bytes, ...SCORED_PIECES.slice(3)];
  const metadata = new Map<string, GgufValue>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", strings(all.map(([piece]) => piece))],
    ["tokenizer.ggml.scores", { type: "F32", values: Float32Array.from(all, ([, score]) => score) }],
    ["tokenizer.ggml.token_type", { type: "I32", values: Int32Array.from(all, ([, , type]) => type) }],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
  ]);
  return changed(metadata, changes);
}

function changed(metadata: Map<string, GgufValue>, changes: Record<string, GgufValue | undefined>) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  return metadata;
}
