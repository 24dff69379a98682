/**
 * The 24 key-values of the official file, for any shape. The whole vocabulary keeps the official defects (no
 * `tokenizer.ggml.pre`, the wrong chat template), so that made files meet the same repairs as the real one.
 */
import type { GgufArray, GgufHead } from "../../src/gguf/file.js";
import { type GgufKeyValue, keyValues } from "../../src/gguf/write.js";
import { FORMATS, type Format, type Shape } from "./shapes.js";

/** Llama 3: ranks below are mergeable tokens, from here on special ones */
const SPECIALS = { begin: 128_000, endOfText: 128_001, endOfTurn: 128_009 };
const NORMAL = 1;
const CONTROL = 3;

export function metadataOf(shape: Shape, vocabulary: GgufHead, format: Format = FORMATS.i2_s): GgufKeyValue[] {
  const model = modelKeys(shape, format);
  const tokenizer = keyValues(vocabulary).filter(({ key }) => key.startsWith("tokenizer."));
  const whole = shape.vocabulary === strings(vocabulary, "tokenizer.ggml.tokens").length;
  const replaced = whole ? new Map<string, GgufKeyValue>() : smallTokenizer(shape.vocabulary, vocabulary);
  return [
    ...model,
    ...tokenizer.map((entry) => replaced.get(entry.key) ?? entry),
    { key: "general.quantization_version", type: "U32", value: 2 },
    ...(format === FORMATS.i2_s ? [] : [PRE_TOKENIZER]),
    ...(format === FORMATS.tq2_0 ? [HIDDEN_ACT] : []),
  ];
}

/** What llama.cpp needs beyond the official file. */
const PRE_TOKENIZER: GgufKeyValue = { key: "tokenizer.ggml.pre", type: "STRING", value: "llama-bpe" };
const HIDDEN_ACT: GgufKeyValue = {
  key: `${FORMATS.tq2_0.architecture}.hidden_act`,
  type: "STRING",
  value: "relu2",
};

function modelKeys(shape: Shape, { architecture }: Format): GgufKeyValue[] {
  const text = (key: string, value: string): GgufKeyValue => ({ key, type: "STRING", value });
  const u32 = (key: string, value: number): GgufKeyValue => ({ key: `${architecture}.${key}`, type: "U32", value });
  const f32 = (key: string, value: number): GgufKeyValue => ({ key: `${architecture}.${key}`, type: "F32", value });
  return [
    text("general.architecture", architecture),
    text("general.name", `random ${shape.name}`),
    u32("vocab_size", shape.vocabulary),
    u32("context_length", 4096),
    u32("embedding_length", shape.embedding),
    u32("block_count", shape.layers),
    u32("feed_forward_length", shape.feedForward),
    u32("rope.dimension_count", shape.embedding / shape.heads),
    u32("attention.head_count", shape.heads),
    u32("attention.head_count_kv", shape.kvHeads),
    f32("attention.layer_norm_rms_epsilon", 1e-5),
    f32("rope.freq_base", 500_000),
    { key: "general.file_type", type: "U32", value: 40 },
  ];
}

/**
 * The first tokens of the vocabulary, which are all 256 bytes and the most common pieces, then begin-of-text,
 * end-of-text and end-of-turn; and the merges that stay inside. Any text can be written in it.
 */
function smallTokenizer(size: number, vocabulary: GgufHead): Map<string, GgufKeyValue> {
  const all = strings(vocabulary, "tokenizer.ggml.tokens");
  const unused = Array.from({ length: Math.max(0, size - 3 - SPECIALS.begin) }, (_, i) => `<|unused_${i}|>`);
  const normal = [...all.slice(0, SPECIALS.begin), ...unused].slice(0, size - 3);
  const specials = Object.values(SPECIALS).map((id) => all[id] as string);
  const kept = new Set(normal);
  const merges = strings(vocabulary, "tokenizer.ggml.merges").filter((merge) => {
    const [left, right] = merge.split(" ") as [string, string];
    return kept.has(left) && kept.has(right) && kept.has(left + right);
  });
  const types = new Int32Array(size).fill(NORMAL).fill(CONTROL, size - 3);

  const array = (key: string, value: GgufArray): GgufKeyValue => ({ key, type: "ARRAY", value });
  const id = (key: string, value: number): GgufKeyValue => ({ key, type: "U32", value });
  const entries = [
    array("tokenizer.ggml.tokens", { type: "STRING", values: [...normal, ...specials] }),
    array("tokenizer.ggml.scores", { type: "F32", values: new Float32Array(size) }),
    array("tokenizer.ggml.token_type", { type: "I32", values: types }),
    array("tokenizer.ggml.merges", { type: "STRING", values: merges }),
    id("tokenizer.ggml.bos_token_id", size - 3),
    id("tokenizer.ggml.eos_token_id", size - 2),
    id("tokenizer.ggml.padding_token_id", size - 2),
  ];
  return new Map(entries.map((entry) => [entry.key, entry]));
}

function strings(vocabulary: GgufHead, key: string): readonly string[] {
  return (vocabulary.metadata.get(key) as GgufArray).values as readonly string[];
}
