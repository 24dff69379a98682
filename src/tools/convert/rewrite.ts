/**
 * Writes a model again as a GGUF file: metadata repaired (model/repair.ts), ternary codes in the standard layout
 * (formats/i2_s.ts), tensors recoded where that is asked for, every other byte of a tensor as it was. The original is only
 * read, and no more of it is in memory than a chunk.
 */
import { lstat, stat } from "node:fs/promises";
import type { ByteSource, TernaryLayout, WeightSource } from "../../backend/backend.js";
import { Engine } from "../../engine/engine.js";
import { openModel } from "../../engine/open.js";
import { writeGguf } from "../../engine/write.js";
import { TernionError } from "../../errors.js";
import { rowBytes } from "../../formats/format.js";
import { LAYOUT_ROWS, toStandardLayout } from "../../formats/i2_s.js";
import { formatOf, hasLayouts } from "../../formats/table.js";
import type { GgufTensor, GgufValue } from "../../gguf/file.js";
import { type GgufKeyValue, type GgufTensorSource, keyValues } from "../../gguf/write.js";
import type { Repair } from "../../model/family.js";
import { guessLayout } from "../../model/layout-evidence.js";
import type { OpenModel } from "../../model/open.js";
import { withLayout } from "../../model/weights.js";

/** Of whoever writes a model again. */
export interface RewriteOptions {
  /** order of the ternary codes in the file; default "auto": found out as it is while loading */
  readonly i2sLayout?: "auto" | TernaryLayout | undefined;
  /** replace the file of that name, if there is one; default false */
  readonly force?: boolean | undefined;
  /** called after each chunk with bytes so far of all bytes */
  readonly onProgress?: ((written: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a tensor becomes. */
export type Recoded = Pick<GgufTensorSource, "type" | "data">;

export interface Changes {
  /** By name; the others stay as they are. `sources`: in their layout. */
  recode(sources: readonly WeightSource[], model: OpenModel): ReadonlyMap<string, Recoded>;
  /** The key-values of the new file, given those of the old one and the new tensors. */
  describe(metadata: readonly GgufKeyValue[], tensors: readonly GgufTensorSource[]): readonly GgufKeyValue[];
}

/** What was written. */
export interface RewrittenFile {
  /** what was repaired of the metadata, and tensors that were left out */
  readonly repairs: readonly Repair[];
  /** order that the ternary codes were in; those of the new file are in "block128" */
  readonly i2sLayout: TernaryLayout;
  /** of the new file */
  readonly byteLength: number;
}

const AS_IT_IS: Changes = { recode: () => new Map(), describe: (metadata) => metadata };

/** Most bytes of one chunk, where four rows are not more: small, so that an abort is heard and the reads stay short. */
const CHUNK = 1 << 15;

/**
 * Reads the model `from` and writes it to `to`, which appears only when it is whole: an abort or an error leaves nothing
 * new. Throws a RangeError if both are the same file, and a TernionError for what is no sound model or cannot be written.
 */
export async function rewriteModel(
  from: string,
  to: string,
  { force = false, i2sLayout: asked = "auto", onProgress, signal }: RewriteOptions,
  { recode, describe }: Changes = AS_IT_IS,
): Promise<RewrittenFile> {
  signal?.throwIfAborted();
  await using model = await openModel(from, { signal });
  const { file: original, metadata, repairs } = model;
  await checkTarget(original.parts ?? [from], to, force);
  const i2sLayout = asked === "auto" ? await findLayout(model, signal) : asked;

  const sources = withLayout(model.sources, i2sLayout);
  const recoded = recode(sources, model);
  const ternary = new Map(sources.filter(hasLayouts).map((source) => [source.name, source]));
  const unused = new Set(repairs.map(({ key }) => key));
  const kept = Array.from(original.tensors.values()).filter(({ name }) => !unused.has(name));
  const tensors = kept.map((tensor): GgufTensorSource => {
    const codes = ternary.get(tensor.name);
    const bytes = original.bytes[tensor.part ?? 0];
    const data = () => chunksOf(bytes, tensor, { codes, layout: i2sLayout, signal });
    return { name: tensor.name, type: tensor.type, dims: tensor.dims, data, ...recoded.get(tensor.name) };
  });
  const repaired = describe(withRepairs(keyValues(original), repairs, metadata), tensors);
  const byteLength = await writeGguf(to, { metadata: repaired, tensors }, onProgress && { onProgress });
  return { repairs, i2sLayout, byteLength };
}

async function checkTarget(from: readonly string[], to: string, force: boolean): Promise<void> {
  const [same, ...originals] = await Promise.all([to, ...from].map((path) => found(stat(path, { bigint: true }))));
  if (originals.some((original) => original !== undefined && original.dev === same?.dev && original.ino === same.ino)) {
    throw new RangeError(`${to}: expected another file than the one to read, got the same`);
  }
  // a link that points nowhere is a file too
  if (!force && (await found(lstat(to))) !== undefined) {
    throw new TernionError(
      "GGUF_WRITE",
      `${to}: expected no such file, got one; give another name, or force to replace it.`,
    );
  }
}

/** What is known of a file, or undefined where there is none; other errors show when it is opened. */
function found<T>(stats: Promise<T>): Promise<T | undefined> {
  return stats.catch(() => undefined);
}

/** Where the evidence leaves it open, the loss of plain English decides, as while loading. */
async function findLayout(
  { sources, metadata, file }: OpenModel,
  signal: AbortSignal | undefined,
): Promise<TernaryLayout> {
  const { layouts, certain } = await guessLayout(sources, metadata);
  if (certain) return layouts[0];
  await using engine = await Engine.load(file.bytes, { backend: "cpu", maxSessions: 1, signal });
  return engine.loadReport.i2sLayout;
}

/** Repaired keys keep their place; those that were absent come last. */
function withRepairs(
  original: readonly GgufKeyValue[],
  repairs: readonly Repair[],
  metadata: ReadonlyMap<string, GgufValue>,
): GgufKeyValue[] {
  const all = new Map(original.map((entry) => [entry.key, entry]));
  for (const { key } of repairs) {
    const value = metadata.get(key);
    if (value === undefined) continue; // of a tensor
    all.set(key, { key, value, type: typeof value === "string" ? "STRING" : "U32" });
  }
  return [...all.values()];
}

/** The bytes of a tensor in order; those of `codes` out of `layout` into the standard one. */
async function* chunksOf(
  bytes: ByteSource,
  { offset, byteLength }: GgufTensor,
  { codes, layout, signal }: TensorChange,
): AsyncGenerator<Uint8Array> {
  const inRow = codes === undefined ? 0 : rowBytes(formatOf(codes.type), codes.columns);
  const codeBytes = inRow * (codes?.rows ?? 0);
  const groupBytes = codes === undefined ? 1 : LAYOUT_ROWS * inRow;
  const most = Math.max(groupBytes, CHUNK - (CHUNK % groupBytes));
  for (let at = 0, end = 0; at < byteLength; at = end) {
    signal?.throwIfAborted();
    end = Math.min(at + most, at < codeBytes ? codeBytes : byteLength);
    const chunk = new Uint8Array(end - at);
    await bytes.read(offset + at, chunk);
    if (codes !== undefined && at < codeBytes) toStandardLayout(layout, chunk, codes.columns);
    yield chunk;
  }
  signal?.throwIfAborted(); // as `onProgress` of the last chunk may have asked
}

interface TensorChange {
  /** the tensor as ternary weights, if it holds such */
  readonly codes: WeightSource | undefined;
  readonly layout: TernaryLayout;
  readonly signal: AbortSignal | undefined;
}
