/**
 * tokenizer.json, tokenizer_config.json, generation_config.json and chat_template.jinja → the keys `tokenizer.*` of a GGUF
 * file, as llama.cpp's converter writes them. The same text must become the same ids as with the `tokenizers` library: what
 * no key can say is refused by name.
 */
import { integerKind, isRecord } from "../check.js";
import { quote, TernionError } from "../errors.js";
import { FLAG } from "../gguf/metadata.js";
import type { GgufKeyValue } from "../gguf/write.js";
import { idsOf, tokenOf } from "./config.js";
import { flag, integer, strings, text } from "./entries.js";
import { type Folder, type JsonObject, readJson, readText, shown } from "./folder.js";
import { splitOf } from "./pretokenizers.js";
import { type Spelling, scoredSpelling } from "./sentencepiece.js";

/** Values of `tokenizer.ggml.token_type`. */
const TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Most ids that a vocabulary may have more than the embedding has rows: none. */
const ID = (size: number) => integerKind(0, size - 1);

/** `size`: rows of the embedding, each of which has a token. */
export async function tokenizerMetadata(folder: Folder, config: JsonObject, size: number): Promise<GgufKeyValue[]> {
  const file = await readJson(folder, "tokenizer.json", "tokenizer");
  if (file === undefined) {
    const message = "expected tokenizer.json in the directory, got none. Get it too, or use a GGUF file of this model.";
    throw new TernionError("MODEL_DIRECTORY", `${folder.name}: ${message}`);
  }
  const settings = await readJson(folder, "tokenizer_config.json");
  const vocabulary = readVocabulary(file, size);
  const ends = idsOf(await readJson(folder, "generation_config.json"), "eos_token_id");
  const template = await chatTemplate(folder, settings);
  const special = specialIds({ config, settings, ends }, vocabulary);
  const bos = special.find(({ key }) => key === "tokenizer.ggml.bos_token_id");
  return [
    ...vocabulary.metadata,
    ...special,
    flag("tokenizer.ggml.add_bos_token", bos !== undefined && addsBos(file, settings, bos.value as number, vocabulary)),
    ...(template === undefined ? [] : [text("tokenizer.chat_template", template)]),
  ];
}

interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly metadata: readonly GgufKeyValue[];
}

function readVocabulary(file: JsonObject, size: number): Vocabulary {
  const model = file.object("model");
  if (model === undefined || (model.any("type") ?? "BPE") !== "BPE") {
    throw refused(`${file.path}: model: type`, "BPE", model?.any("type"));
  }
  const pieces: (string | undefined)[] = new Array(size).fill(undefined);
  const types = new Int32Array(size).fill(TYPES.unused);
  const put = (id: unknown, piece: unknown, type: number) => {
    if (!ID(size).holds(id) || typeof piece !== "string") {
      throw refused(`${file.path}: token ${shown(piece)}`, `an id below vocab_size ${size}`, id);
    }
    const before = pieces[id];
    if (before !== undefined && before !== piece) throw refused(`${file.path}: id ${id}`, quote(before), piece);
    pieces[id] = piece;
    types[id] = type;
  };
  for (const [piece, id] of Object.entries(model.object("vocab")?.values ?? {})) put(id, piece, TYPES.normal);
  const isScored = model.get("byte_fallback", FLAG, false);
  if (isScored) for (const [id, piece] of pieces.entries()) if (isByte(piece)) types[id] = TYPES.byte;
  const unknown = model.any("unk_token");
  for (const added of addedTokens(file)) {
    put(added.id, added.content, added.special === true ? TYPES.control : TYPES.userDefined);
  }
  const tokens = pieces.map((piece, id) => piece ?? `[PAD${id}]`);
  if (isScored && typeof unknown === "string") {
    const id = tokens.indexOf(unknown);
    if (id >= 0) types[id] = TYPES.unknown;
  }
  const merges = readMerges(model);
  const isPlain = (id: number) => types[id] === TYPES.normal || types[id] === TYPES.userDefined;
  const spelling = isScored
    ? scoredSpelling(file, { tokens, merges, isPlain })
    : byteLevel(file, model.get("ignore_merges", FLAG, false), merges);
  const ids = new Map(pieces.flatMap((piece, id) => (piece === undefined ? [] : [[piece, id] as const])));
  return { ids, metadata: keysOf(spelling, tokens, types) };
}

function keysOf({ model, keys }: Spelling, tokens: readonly string[], types: Int32Array<ArrayBuffer>): GgufKeyValue[] {
  return [
    text("tokenizer.ggml.model", model),
    strings("tokenizer.ggml.tokens", tokens),
    { key: "tokenizer.ggml.token_type", type: "ARRAY", value: { type: "I32", values: types } },
    ...keys,
  ];
}

const isByte = (piece: string | undefined) => piece !== undefined && /^<0x[0-9A-F]{2}>$/.test(piece);

function byteLevel(file: JsonObject, wholeWords: boolean, merges: readonly Merge[]): Spelling {
  const lines = merges.map((pair) => pair.join(" "));
  const pre = splitOf(file, wholeWords);
  return { model: "gpt2", keys: [text("tokenizer.ggml.pre", pre), strings("tokenizer.ggml.merges", lines)] };
}

/** Words that are one token wherever they occur; what no GGUF file says of them is refused. */
function addedTokens(file: JsonObject): readonly Readonly<Record<string, unknown>>[] {
  const added = file.any("added_tokens") ?? [];
  if (!Array.isArray(added) || !added.every(isRecord)) throw file.wrong("added_tokens", "an array of objects");
  for (const token of added) {
    const trait = ["lstrip", "rstrip", "single_word"].find((name) => token[name] === true);
    if (token.special === true || trait === undefined) continue;
    throw refused(`${file.path}: added token ${shown(token.content)}: ${trait}`, "false", true);
  }
  return added;
}

export type Merge = readonly [left: string, right: string];

/** "a b", since version 0.20 of `tokenizers` ["a", "b"] */
function readMerges(model: JsonObject): Merge[] {
  const merges = model.any("merges");
  if (!Array.isArray(merges)) throw model.wrong("merges", "an array");
  return merges.map((merge: unknown) => {
    const pair: unknown = typeof merge === "string" ? cut(merge) : merge;
    const isPair = Array.isArray(pair) && pair.length === 2 && pair.every((each) => typeof each === "string");
    if (isPair) return pair as unknown as Merge;
    throw refused(`${model.path}: merges`, 'pairs as "a b" or ["a", "b"]', merge);
  });
}

function cut(merge: string): readonly string[] {
  const blank = merge.indexOf(" ", 1);
  return [merge.slice(0, blank), merge.slice(blank + 1)];
}

interface Settings {
  readonly config: JsonObject;
  readonly settings: JsonObject | undefined;
  /** of generation_config.json */
  readonly ends: readonly number[];
}

/** Words that end a turn, where generation_config.json names none. */
const TURN_ENDS = ["<|eot_id|>", "<|im_end|>", "<|end|>"];

function specialIds({ config, settings, ends }: Settings, { ids }: Vocabulary): GgufKeyValue[] {
  const idOf = (name: string) => {
    const token = tokenOf(settings, name);
    const id = token === undefined ? undefined : ids.get(token);
    return id ?? (settings?.any(name) === undefined ? idsOf(config, `${name}_id`)[0] : undefined);
  };
  const eos = idOf("eos_token") ?? ends[0];
  const turnEnds = TURN_ENDS.flatMap((word) => ids.get(word) ?? []);
  const others = ends.filter((id) => id !== eos);
  const eot = turnEnds.find((id) => others.includes(id)) ?? others[0] ?? turnEnds.find((id) => id !== eos);
  const named = { bos_token_id: idOf("bos_token"), eos_token_id: eos, eot_token_id: eot };
  return Object.entries(named).flatMap(([name, id]) => (id === undefined ? [] : integer(`tokenizer.ggml.${name}`, id)));
}

/** Whether a text begins with BOS: as tokenizer_config.json says, else as the template of tokenizer.json has it. */
function addsBos(file: JsonObject, settings: JsonObject | undefined, bos: number, { ids }: Vocabulary): boolean {
  const said = settings?.any("add_bos_token");
  if (typeof said === "boolean") return said;
  const processors = [file.any("post_processor")].flatMap((each) => {
    const { processors: inner } = Object(each) as Readonly<Record<string, unknown>>;
    return Array.isArray(inner) ? inner : [each];
  });
  return processors.some((processor: unknown) => {
    const { type, single } = Object(processor) as Readonly<Record<string, unknown>>;
    const first: unknown = type === "TemplateProcessing" && Array.isArray(single) ? single[0] : undefined;
    const { SpecialToken: token } = Object(first) as Readonly<Record<string, unknown>>;
    const { id } = Object(token) as Readonly<Record<string, unknown>>;
    return typeof id === "string" && ids.get(id) === bos;
  });
}

/** That of a file of its own comes first; of several by name the default one. */
async function chatTemplate(folder: Folder, settings: JsonObject | undefined): Promise<string | undefined> {
  const own = await readText(folder, "chat_template.jinja");
  if (own !== undefined) return own;
  const template = settings?.any("chat_template");
  const named = Array.isArray(template)
    ? template.find((each) => isRecord(each) && each.name === "default")
    : undefined;
  const value = isRecord(named) ? named.template : template;
  return typeof value === "string" ? value : undefined;
}

export function refused(what: string, expected: string, got: unknown): TernionError {
  return new TernionError(
    "TOKENIZER",
    `${what}: expected ${expected}, got ${shown(got)}. Use a GGUF file of this model.`,
  );
}
