/** Small tensors whose values are needed before the weights are loaded: factors of the rotary embedding, and of matrices. */
import type { ByteSource, WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { BF16, F16, F32 } from "../formats/float.js";
import type { GgufTensor, OpenGguf } from "../gguf/file.js";
import type { ModelConfig } from "./config.js";
import { familyOf } from "./families/families.js";

type Tensors = Pick<OpenGguf, "tensors" | "bytes">;

/** Half floats, as some converters write norms; ggml and the backends multiply by float32. */
const HALVES = [F16, BF16];
const NORM = /_norm(?:_in)?\.weight$/;

/** The tensors with norms as float32, in memory where they are not so in the file. */
export async function withFloatNorms(file: Tensors): Promise<Tensors> {
  const half = [...file.tensors.values()].filter(
    ({ name, type, dims }) => dims.length === 1 && NORM.test(name) && HALVES.some((format) => format.name === type),
  );
  if (half.length === 0) return file;
  const tensors = new Map(file.tensors);
  const made = await Promise.all(half.map((tensor) => floatsOf(file, tensor)));
  let end = 0;
  for (const [i, tensor] of half.entries()) {
    const { byteLength } = made[i];
    tensors.set(tensor.name, { ...tensor, type: "F32", offset: end, byteLength, part: file.bytes.length });
    end += byteLength;
  }
  return { tensors, bytes: [...file.bytes, joined(made, end)] };
}

async function floatsOf(file: Tensors, { name, type, dims, offset, byteLength, part = 0 }: GgufTensor) {
  const bytes = new Uint8Array(byteLength);
  await file.bytes[part].read(offset, bytes);
  const format = HALVES.find((each) => each.name === type) as typeof F16;
  format.check({ name, rows: 1, columns: dims[0] }, bytes);
  return new Uint8Array(format.decode(bytes, dims[0]).buffer);
}

function joined(parts: readonly Uint8Array[], size: number): ByteSource {
  const all = new Uint8Array(size);
  let end = 0;
  for (const part of parts) {
    all.set(part, end);
    end += part.byteLength;
  }
  return {
    name: "norms",
    size,
    read: async (offset, into) => into.set(all.subarray(offset, offset + into.byteLength)),
  };
}

const ROPE_FACTORS = "rope_freqs.weight";

/** Whether a file of this model may have the tensor beside its `weights`. */
export function isExtra(name: string, { arch }: ModelConfig, weights: ReadonlySet<string>): boolean {
  const { hasScales, hasRopeFactors } = familyOf(arch) ?? {};
  if (name === ROPE_FACTORS) return hasRopeFactors === true;
  return hasScales === true && name.endsWith(".scale") && weights.has(name.replace(/\.scale$/, ".weight"));
}

/** The configuration with the factors of `rope_freqs.weight` (headDim / 2), where the file has them. */
export async function withRopeFactors(file: Tensors, config: ModelConfig): Promise<ModelConfig> {
  const tensor = file.tensors.get(ROPE_FACTORS);
  if (tensor === undefined) return config;
  const factors = await readFloats(file, tensor, config.headDim / 2);
  return { ...config, ropeFactors: factors.map((factor, i) => factor * (config.ropeFactors?.[i] ?? 1)) };
}

/** The sources with the factors that the file has beside them in tensors `.scale`, where its family knows such. */
export function withScales(
  file: Tensors,
  config: ModelConfig,
  sources: readonly WeightSource[],
): Promise<WeightSource[]> {
  const hasScales = familyOf(config.arch)?.hasScales === true;
  return Promise.all(
    sources.map(async (source) => {
      const tensor = hasScales ? file.tensors.get(source.name.replace(/\.weight$/, ".scale")) : undefined;
      if (tensor === undefined) return source;
      const [factor] = await readFloats(file, tensor, 1);
      return { ...source, factor };
    }),
  );
}

/** `count` positive numbers. */
async function readFloats(file: Tensors, tensor: GgufTensor, count: number): Promise<number[]> {
  const { name, type, dims, offset, byteLength, part = 0 } = tensor;
  if (type !== "F32" || dims.length !== 1 || dims[0] !== count) {
    const got = `${type} [${dims.join(", ")}]`;
    throw new TernionError("MODEL_TENSOR", `${name}: expected F32 [${count}], got ${got}. The file is damaged.`);
  }
  const bytes = new Uint8Array(byteLength);
  await file.bytes[part].read(offset, bytes);
  F32.check({ name, rows: 1, columns: count }, bytes);
  const values = [...F32.decode(bytes, count)];
  const wrong = values.find((value) => value <= 0);
  if (wrong === undefined) return values;
  throw new TernionError("MODEL_TENSOR", `${name}: expected positive numbers, got ${wrong}. The file is damaged.`);
}
