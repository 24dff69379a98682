/**
 * A GGUF model → a directory as Hugging Face publishes it, in each of the forms that ternary weights have there. Written from
 * the definitions of transformers (`integrations/bitnet.py`: pack_weights, BitLinear, AutoBitLinear), and not with the code
 * that reads it.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openGguf } from "../../src/engine/input.js";
import { type DecodedWeight, decodeWeight } from "../../src/formats/decode.js";
import { readBytes } from "../../src/formats/read.js";
import type { GgufArray } from "../../src/gguf/file.js";
import type { Metadata } from "../../src/gguf/metadata.js";
import type { ModelConfig } from "../../src/model/config.js";
import { modelOf } from "../../src/model/open.js";

/** Of ternary matrices: codes in uint8, codes as floats, or weights whose mean magnitude is the scale. */
export type Form = "packed" | "unpacked" | "master";

export interface DirectoryOptions {
  readonly form?: Form;
  /** what weight_scale does: "bitlinear" divides by it, "autobitlinear" multiplies */
  readonly linearClass?: "bitlinear" | "autobitlinear";
  /** leave quantization_config out */
  readonly unsaid?: boolean;
  /** files of weights */
  readonly shards?: number;
  /** changes of config.json */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** makes one tensor another */
  readonly change?: (tensor: Tensor) => Tensor;
}

export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const MODULES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  attn_sub_norm: "self_attn.attn_sub_norm",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_sub_norm: "mlp.ffn_sub_norm",
  ffn_down: "mlp.down_proj",
};

/** `blk.0.attn_q.weight` → `model.layers.0.self_attn.q_proj` */
export function moduleOf(name: string): string {
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
  if (part !== undefined) return `model.layers.${layer}.${MODULES[part]}`;
  const others: Readonly<Record<string, string>> = {
    "token_embd.weight": "model.embed_tokens",
    "output_norm.weight": "model.norm",
    "output.weight": "lm_head",
  };
  return others[name];
}

export async function writeDirectory(from: string, folder: string, options: DirectoryOptions = {}): Promise<string> {
  await using file = await openGguf(from);
  const { config, metadata, sources } = await modelOf(file, false);
  await mkdir(folder, { recursive: true });
  const tensors: Tensor[] = [];
  for (const source of sources) {
    const weight = decodeWeight(source, await readBytes(source, 0, source.byteLength));
    tensors.push(...tensorsOf(inHalves(weight, config), options));
  }
  const { change = (tensor) => tensor, shards = 1 } = options;
  const files = new Map<string, string | Buffer>([
    ["config.json", json(configOf(config, metadata, file.tensors.has("output.weight"), options))],
    ...tokenizerFiles(metadata),
    ...weightFiles(tensors.map(change), shards),
    ...Object.entries(options.files ?? {}),
  ]);
  for (const [name, content] of files) await writeFile(join(folder, name), content);
  return folder;
}

const json = (value: unknown) => JSON.stringify(value, undefined, 2);

/** Rows of q and k as transformers has them: those of the two elements of a pair half a head apart. */
function inHalves(weight: DecodedWeight, { arch, headDim }: ModelConfig): DecodedWeight {
  if (arch !== "llama" || !/attn_[qk]\.weight$/.test(weight.name)) return weight;
  const { rows, columns, dense, ternary } = weight;
  const move = <T extends Float32Array | Int8Array>(values: T): T => {
    const out = values.slice() as T;
    for (let row = 0; row < rows; row++) {
      const [head, i] = [Math.floor(row / headDim), row % headDim];
      const to = head * headDim + (i % 2) * (headDim / 2) + Math.floor(i / 2);
      out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
    }
    return out;
  };
  if (dense) return { ...weight, dense: move(dense) };
  return ternary === undefined ? weight : { ...weight, ternary: { ...ternary, values: move(ternary.values) } };
}

function tensorsOf(
  weight: DecodedWeight,
  { form = "packed", linearClass = "autobitlinear" }: DirectoryOptions,
): Tensor[] {
  const { rows, columns, dense, ternary } = weight;
  const module = moduleOf(weight.name);
  const name = `${module}.weight`;
  if (dense) return [floats(name, rows === 1 ? [columns] : [rows, columns], dense)];
  const { values, scales } = ternary as NonNullable<typeof ternary>;
  const scale = scales[0];
  if (form === "master") {
    const live = values.reduce((count, value) => count + Math.abs(value), 0);
    const magnitude = (scale * values.length) / live;
    const masters = new Float32Array(values);
    for (let i = 0; i < masters.length; i++) masters[i] *= magnitude;
    return [floats(name, [rows, columns], masters)];
  }
  const stored = linearClass === "bitlinear" ? 1 / scale : scale;
  const beside = floats(`${module}.weight_scale`, [1], Float32Array.of(stored));
  if (form === "unpacked") return [floats(name, [rows, columns], new Float32Array(values)), beside];
  const bytes = new Uint8Array(values.length / 4);
  for (const [i, value] of values.entries()) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const quarter = rows / 4;
    bytes[(row % quarter) * columns + column] |= (value + 1) << (2 * Math.floor(row / quarter));
  }
  return [{ name, dtype: "U8", shape: [rows / 4, columns], bytes }, beside];
}

const floats = (name: string, shape: readonly number[], values: Float32Array): Tensor => {
  return { name, dtype: "F32", shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
};

function configOf(config: ModelConfig, metadata: Metadata, untied: boolean, options: DirectoryOptions) {
  const { arch, headDim } = config;
  const isBitNet = arch.startsWith("bitnet");
  const scaling = (name: string) => metadata.get(`${arch}.rope.scaling.${name}`);
  const { form = "packed", linearClass = "autobitlinear", unsaid = false } = options;
  const mode = form === "master" ? "online" : "offline";
  const quantization = { quant_method: "bitnet", linear_class: linearClass, quantization_mode: mode };
  const yarn = {
    rope_type: "yarn",
    factor: scaling("factor"),
    original_max_position_embeddings: scaling("original_context_length"),
  };
  return {
    architectures: ["Model"],
    model_type: isBitNet ? "bitnet" : arch,
    hidden_act: isBitNet ? "relu2" : "silu",
    hidden_size: config.width,
    intermediate_size: config.ffnWidth,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    ...(headDim === config.width / config.heads ? {} : { head_dim: headDim }),
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeBase,
    ...(scaling("type") === "yarn" ? { rope_scaling: yarn } : {}),
    tie_word_embeddings: !untied,
    vocab_size: config.vocabularySize,
    ...(isBitNet && !unsaid ? { quantization_config: quantization } : {}),
    ...options.config,
  };
}

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** A tokenizer.json of byte-level BPE. */
export function tokenizerJson(metadata: Metadata): Readonly<Record<string, unknown>> {
  const list = (key: string) => (metadata.get(`tokenizer.ggml.${key}`) as GgufArray).values;
  const [pieces, types, merges] = [list("tokens") as string[], list("token_type"), list("merges") as string[]];
  const isQwen = metadata.get("tokenizer.ggml.pre") === "qwen2";
  const bos = pieces[metadata.get("tokenizer.ggml.bos_token_id") as number];
  const split = { type: "Split", pattern: { Regex: isQwen ? LLAMA3.replace("{1,3}", "") : LLAMA3 } };
  return {
    version: "1.0",
    added_tokens: pieces.flatMap((content, id) => {
      const traits = { single_word: false, lstrip: false, rstrip: false, normalized: false };
      return types[id] === 1 ? [] : [{ id, content, special: types[id] === 3, ...traits }];
    }),
    normalizer: isQwen ? { type: "NFC" } : null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { ...split, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor:
      metadata.get("tokenizer.ggml.add_bos_token") === true
        ? {
            type: "TemplateProcessing",
            single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
          }
        : null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      ignore_merges: !isQwen,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id]).filter(([, id]) => types[id as number] === 1)),
      merges: merges.map((merge) => merge.split(" ")),
    },
  };
}

function tokenizerFiles(metadata: Metadata): [string, string][] {
  const pieces = (metadata.get("tokenizer.ggml.tokens") as GgufArray).values as string[];
  const idOf = (name: string) => metadata.get(`tokenizer.ggml.${name}_token_id`) as number | undefined;
  const [bos, eos, eot] = ["bos", "eos", "eot"].map(idOf);
  const settings = {
    bos_token: bos === undefined ? null : pieces[bos],
    eos_token: eos === undefined ? null : { content: pieces[eos] },
    chat_template: metadata.get("tokenizer.chat_template"),
  };
  return [
    ["tokenizer.json", json(tokenizerJson(metadata))],
    ["tokenizer_config.json", json(settings)],
    ["generation_config.json", json({ eos_token_id: eot === undefined ? eos : [eos, eot] })],
  ];
}

function weightFiles(tensors: readonly Tensor[], shards: number): [string, string | Buffer][] {
  if (shards === 1) return [["model.safetensors", safetensors(tensors)]];
  const size = Math.ceil(tensors.length / shards);
  const map: Record<string, string> = {};
  const files = Array.from({ length: shards }, (_, i): [string, Buffer] => {
    const name = `model-0000${i + 1}-of-0000${shards}.safetensors`;
    const own = tensors.slice(i * size, (i + 1) * size);
    for (const tensor of own) map[tensor.name] = name;
    return [name, safetensors(own)];
  });
  return [...files, ["model.safetensors.index.json", json({ metadata: {}, weight_map: map })]];
}

/** `header`: makes another one of it, for damaged files. */
export function safetensors(
  tensors: readonly Tensor[],
  header: (entries: Record<string, unknown>) => unknown = (entries) => entries,
): Buffer {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    entries[name] = { dtype, shape, data_offsets: [end, end + bytes.byteLength] };
    end += bytes.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  return Buffer.concat([length, text, ...tensors.map(({ bytes }) => bytes)]);
}
