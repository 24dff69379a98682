/**
 * Another engine's intermediates from a safetensors file: 8 bytes of little-endian header length, a JSON header (name →
 * dtype, shape, data_offsets), then the data. Names are those of `ternion trace`, or those of the modules of BitNet in
 * transformers, whose outputs a forward hook sees.
 */

import { integerKind } from "../../check.js";
import { printable, quote, TernionError } from "../../errors.js";
import { denseFormatOf } from "../../formats/table.js";
import { openFile } from "../../platform/file-bytes.js";
import type { Rows } from "./evaluate.js";
import { LAYER_OPS } from "./formulas.js";

export interface Dump {
  /** from metadata key "tokens", ids with commas */
  readonly tokens: readonly number[] | undefined;
  /** by the names of a trace, one Float64Array for each row of `rows(tokens)` */
  rows(tokens: number): Map<string, Rows>;
  /** least precise type in the file: what an exact engine may be off by depends on it */
  readonly type: DumpType;
}

type DumpType = "F32" | "F16" | "BF16";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const TYPES: readonly DumpType[] = ["F32", "F16", "BF16"];
const MAX_HEADER = 100 * 1024 * 1024;

/** Modules of transformers' BitNetModel → our names; in a layer after "model.layers.N.", "" is the layer itself. */
const MODULES: Readonly<Record<string, string>> = {
  "model.embed_tokens": "embd",
  "model.norm": "result_norm",
  lm_head: "logits",
};
const LAYER_MODULES: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "q",
  "self_attn.k_proj": "k",
  "self_attn.v_proj": "v",
  "self_attn.attn_sub_norm": "attn_sub_norm",
  "self_attn.o_proj": "attn_out",
  self_attn: "attn_out",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "gate",
  "mlp.up_proj": "up",
  "mlp.ffn_sub_norm": "ffn_sub_norm",
  "mlp.down_proj": "ffn_down",
  mlp: "ffn_down",
  "": "l_out",
};
/** The same for hooks on what enters a module. */
const LAYER_INPUTS: Readonly<Record<string, string>> = {
  "self_attn.attn_sub_norm": "attn_ctx",
  "mlp.ffn_sub_norm": "ffn_act",
};

/** Our name for a tensor of a dump; undefined for one that is none of the intermediates. */
export function traceName(name: string): string | undefined {
  if (Object.values(MODULES).includes(name)) return name;
  const ours = /^blk\.\d+\.(\w+)$/.exec(name)?.[1];
  if (ours !== undefined) return (LAYER_OPS as readonly string[]).includes(ours) ? name : undefined;
  const [, path, side] = /^(.*?)(?:\.(input|output))?$/.exec(name) as RegExpExecArray;
  if (side !== "input" && Object.hasOwn(MODULES, path)) return MODULES[path];
  const [, layer, module = ""] = /^model\.layers\.(\d+)(?:\.(.+))?$/.exec(path) ?? [];
  const names = side === "input" ? LAYER_INPUTS : LAYER_MODULES;
  return layer !== undefined && Object.hasOwn(names, module) ? `blk.${layer}.${names[module]}` : undefined;
}

export async function readDump(path: string): Promise<Dump> {
  const { header, data } = await readContainer(path);
  const { __metadata__: metadata, ...all } = header as Record<string, Entry> & { __metadata__?: { tokens?: unknown } };
  const entries = new Map<string, Entry>();
  for (const [name, entry] of Object.entries(all)) {
    const ours = traceName(name);
    if (ours === undefined) continue;
    checkEntry(path, name, entry, data.byteLength);
    entries.set(ours, entry);
  }
  if (entries.size === 0) {
    const found = Object.keys(all)
      .slice(0, 3)
      .map((name) => printable(name))
      .join(", ");
    throw damaged(path, `expected names as in \`ternion trace\` or of transformers' BitNet modules, got ${found}`);
  }
  const types = new Set(Array.from(entries.values(), ({ dtype }) => TYPES.indexOf(dtype as DumpType)));
  return {
    tokens: parseTokens(path, metadata?.tokens),
    type: TYPES[Math.max(...types)],
    rows: (tokens) => new Map([...entries].map(([name, entry]) => [name, rowsOf(path, name, entry, data, tokens)])),
  };
}

async function readContainer(path: string): Promise<{ header: object; data: Uint8Array }> {
  const file = await openFile(path, "VERIFY_DUMP");
  try {
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    const length = bytes.length < 8 ? Number.NaN : Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const most = Math.min(MAX_HEADER, bytes.length - 8);
    if (!(length <= most)) throw damaged(path, `a header of ${length} bytes in ${bytes.length}`);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    return { header, data: bytes.subarray(8 + length) };
  } catch (error) {
    if (error instanceof TernionError) throw error;
    throw damaged(path, printable((error as Error).message, 200), error);
  } finally {
    await file.close();
  }
}

function checkEntry(path: string, name: string, entry: Entry, bytes: number): void {
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!(TYPES as readonly string[]).includes(dtype))
    throw damaged(path, `${printable(name)}: expected F32, F16 or BF16, got ${printable(String(dtype))}`);
  const [begin, end] = offsets;
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (begin >= 0 && end <= bytes && end - begin === count * denseFormatOf(dtype).bytes) return;
  throw damaged(
    path,
    `${printable(name)}: [${printable(shape.join(", "))}] of ${dtype} does not fit its bytes ${begin} to ${end}`,
  );
}

function rowsOf(
  path: string,
  name: string,
  { dtype, data_offsets, shape }: Entry,
  data: Uint8Array,
  rows: number,
): Rows {
  const bytes = data.subarray(...data_offsets);
  const format = denseFormatOf(dtype);
  const values = format.decode(bytes, bytes.byteLength / format.bytes);
  const width = values.length / rows;
  if (!Number.isInteger(width)) {
    throw damaged(
      path,
      `${printable(name)}: expected a row for each of ${rows} tokens, got shape [${shape.join(", ")}]`,
    );
  }
  return Array.from({ length: rows }, (_, row) => Float64Array.from(values.subarray(row * width, (row + 1) * width)));
}

function parseTokens(path: string, text: unknown): number[] | undefined {
  if (text === undefined) return undefined;
  const ids = String(text).split(",").map(Number);
  if (ids.every(integerKind(0).holds)) return ids;
  throw damaged(path, `metadata key tokens: expected ids as in 1,2,3, got ${quote(String(text))}`);
}

function damaged(path: string, problem: string, cause?: unknown): TernionError {
  return new TernionError("VERIFY_DUMP", `${path}: not a dump to compare with: ${problem}.`, { cause });
}
