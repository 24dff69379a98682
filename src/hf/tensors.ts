/**
 * The tensors of a directory as the tensors of one GGUF file: those with the same bytes are read where they lie, the others
 * are made (rows.ts). Which are ternary, and in which form, follows from config.json and from what is stored.
 */
import type { ByteSource } from "../backend/backend.js";
import { quote, TernionError } from "../errors.js";
import { I2_S } from "../formats/i2_s.js";
import type { GgufTensor } from "../gguf/file.js";
import type { GgmlType } from "../gguf/types.js";
import type { HfModel } from "./config.js";
import { type Named, namedOf, SCALE } from "./names.js";
import {
  adjacentPairs,
  asFloats,
  type Codes,
  inOrder,
  isFloat,
  type MadeTensor,
  masterCodes,
  ofValues,
  packed,
  packedCodes,
  type RowOrder,
  readFloats,
  reordered,
  unpackedCodes,
} from "./rows.js";
import type { StoredTensor } from "./safetensors.js";

export interface HfTensors {
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** the made tensors, one after the other, and then the files */
  readonly bytes: readonly ByteSource[];
}

/** A tensor of a GGUF file: the bytes of a stored one, or made ones. */
interface Planned {
  readonly name: string;
  readonly type: GgmlType;
  /** innermost first */
  readonly dims: readonly number[];
  readonly from: StoredTensor | MadeTensor;
}

type Stored = ReadonlyMap<string, StoredTensor>;

/** `name`: of the directory. `stored`: of all files, by name. */
export function tensorsOf(name: string, model: HfModel, stored: Stored, files: readonly ByteSource[]): HfTensors {
  const planned = [...stored.values()].flatMap((tensor) => plan(model, stored, tensor) ?? []);
  if (!model.tied && !planned.some((each) => each.name === "output.weight")) {
    const problem = "tie_word_embeddings is not true, and there is no lm_head.weight";
    throw new TernionError("MODEL_TENSOR", `${name}: ${problem}. The directory is incomplete; get it again.`);
  }
  if (model.ropeFactors !== undefined) planned.push(ropeFactors(model.ropeFactors));
  return placed(name, planned, files);
}

function ropeFactors(factors: readonly number[]): Planned {
  const from = ofValues(Float32Array.from(factors));
  return { name: "rope_freqs.weight", type: "F32", dims: [factors.length], from };
}

/** Undefined for what is not needed by itself. */
function plan(model: HfModel, all: Stored, tensor: StoredTensor): Planned | undefined {
  if (tensor.name.endsWith(`.${SCALE}`)) return checkScale(all, tensor);
  const named = namedOf(tensor.name);
  if (named === undefined || (model.tied && named.name === "output.weight")) return undefined;
  const { name, use } = named;
  if (use === "norm") {
    checkShape(tensor, 1);
    if (!isFloat(tensor)) throw wrongType(tensor, "floats");
    const from = tensor.dtype === "F32" ? tensor : asFloats(tensor);
    return { name, type: "F32", dims: tensor.shape, from };
  }
  checkShape(tensor, 2);
  return planMatrix(model, all, tensor, named);
}

function checkShape({ name, shape }: StoredTensor, dims: number): void {
  if (shape.length === dims && !shape.includes(0)) return;
  const got = `[${shape.join(", ")}]`;
  throw new TernionError("MODEL_TENSOR", `${name}: expected ${dims} sizes above 0, got ${got}. The file is damaged.`);
}

function planMatrix(model: HfModel, all: Stored, tensor: StoredTensor, { name, use }: Named): Planned {
  const isPermuted = model.family.isPermuted && (use === "q" || use === "k");
  const order = isPermuted ? pairsOf(model, tensor, use) : inOrder;
  const codes = use === "table" ? undefined : codesOf(model, all, tensor);
  if (codes !== undefined) {
    const { rows, columns } = codes;
    if (columns % I2_S.columns !== 0) throw unevenRows(tensor, columns);
    return { name, type: I2_S.name, dims: [columns, rows], from: packed(codes, order) };
  }
  if (!isFloat(tensor)) throw wrongType(tensor, "floats, or ternary codes by quantization_config bitnet");
  const dims = [...tensor.shape].reverse();
  const from = isPermuted ? reordered(tensor, order) : tensor;
  return { name, type: tensor.dtype as GgmlType, dims, from };
}

/** Of whole heads only: the shape of the rest is checked with the model. */
function pairsOf({ heads, kvHeads, headDim }: HfModel, { name, shape, dtype }: StoredTensor, use: "q" | "k"): RowOrder {
  const rows = (use === "q" ? heads : kvHeads) * headDim;
  const got = shape[0] * (dtype === "U8" ? 4 : 1);
  if (got === rows && headDim % 2 === 0) return adjacentPairs(headDim);
  throw new TernionError("MODEL_TENSOR", `${name}: expected ${rows} rows of whole heads, got ${got}.`);
}

/** Undefined where the weights are floats that stay such. */
function codesOf({ quantization }: HfModel, all: Stored, tensor: StoredTensor): Codes | undefined {
  const { name, dtype } = tensor;
  const module = name.slice(0, name.lastIndexOf("."));
  const scale = all.get(`${module}.${SCALE}`);
  const isPacked = dtype === "U8";
  if (quantization === undefined || quantization.plain.some((part) => module.includes(part))) {
    if (!isPacked && scale === undefined) return undefined;
    throw new TernionError(
      "MODEL_ARCH",
      `${name}: expected quantization_config with quant_method bitnet in config.json, which says what weight_scale means, got none.`,
    );
  }
  if (!isPacked && !isFloat(tensor)) throw wrongType(tensor, "uint8 codes or floats");
  if (scale !== undefined) {
    const value = () => scaleOf(scale, quantization.scale);
    return isPacked ? packedCodes(tensor, value) : unpackedCodes(tensor, value);
  }
  if (!isPacked && quantization.online) return masterCodes(tensor);
  throw new TernionError(
    "MODEL_TENSOR",
    `${name}: expected ${module}.${SCALE} beside it, got none. Get the files again.`,
  );
}

/** What multiplies code - 1. */
async function scaleOf(tensor: StoredTensor, sense: "divides" | "multiplies"): Promise<number> {
  const [value] = await readFloats(tensor);
  return Math.fround(sense === "divides" ? 1 / value : value);
}

function checkScale(all: Stored, tensor: StoredTensor): undefined {
  const { name, shape } = tensor;
  const module = name.slice(0, -SCALE.length - 1);
  const count = shape.reduce((product, size) => product * size, 1);
  if (!isFloat(tensor) || count !== 1) throw wrongType(tensor, "one float");
  if (!all.has(`${module}.weight`)) {
    throw new TernionError(
      "MODEL_TENSOR",
      `${name}: expected ${module}.weight beside it, got none. Get the files again.`,
    );
  }
}

function wrongType({ name, dtype, shape }: StoredTensor, expected: string): TernionError {
  const got = `${dtype} [${shape.join(", ")}]`;
  return new TernionError("MODEL_TENSOR", `${quote(name)}: expected ${expected}, got ${got}. It cannot be loaded.`);
}

function unevenRows({ name }: StoredTensor, columns: number): TernionError {
  const rule = `ternary rows must be a multiple of ${I2_S.columns} weights`;
  return new TernionError("MODEL_TENSOR", `${name}: ${rule}, got ${columns}. This model cannot run here.`);
}

/** Bytes of a place in a GGUF file. */
const ALIGNMENT = 32;
const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function placed(name: string, planned: readonly Planned[], files: readonly ByteSource[]): HfTensors {
  const tensors = new Map<string, GgufTensor>();
  const made: { readonly start: number; readonly tensor: MadeTensor }[] = [];
  let end = 0;
  for (const { from, ...tensor } of planned) {
    if (tensors.has(tensor.name)) {
      throw new TernionError("MODEL_TENSOR", `${name}: expected one tensor for ${tensor.name}, got two.`);
    }
    const { byteLength } = from;
    if ("bytes" in from) {
      const part = 1 + files.indexOf(from.bytes);
      tensors.set(tensor.name, { ...tensor, offset: from.offset, byteLength, part });
    } else {
      tensors.set(tensor.name, { ...tensor, offset: end, byteLength, part: 0 });
      made.push({ start: end, tensor: from });
      end = aligned(end + byteLength);
    }
  }
  return { tensors, bytes: [madeBytes(name, made, end), ...files] };
}

/** Bytes that are made for short reads, of which more follow: a few rows alone would cost as much. */
const WINDOW = { bytes: 1 << 20, shortest: 1 << 14 } as const;

/** A read is within one tensor: nobody reads the padding between two. */
function madeBytes(
  name: string,
  made: readonly { readonly start: number; readonly tensor: MadeTensor }[],
  size: number,
): ByteSource {
  const last = { begin: 0, bytes: new Uint8Array() };
  /** The window of a tensor that byte `at` of it is in, as long as it is the last one. */
  const window = async ({ start, tensor }: (typeof made)[number], at: number) => {
    const first = at - (at % WINDOW.bytes);
    if (last.begin === start + first && last.bytes.byteLength > 0) return last.bytes;
    const bytes = new Uint8Array(Math.min(WINDOW.bytes, tensor.byteLength - first));
    await tensor.read(first, bytes);
    Object.assign(last, { begin: start + first, bytes });
    return bytes;
  };
  return {
    name,
    size,
    async read(offset, into) {
      const found = made.findLast(({ start }) => start <= offset);
      if (found === undefined || offset + into.byteLength > found.start + found.tensor.byteLength) {
        throw new RangeError(`${name}: expected bytes of one tensor, got ${into.byteLength} at ${offset}`);
      }
      const at = offset - found.start;
      const inWindow = at % WINDOW.bytes;
      const isShort = into.byteLength >= WINDOW.shortest && inWindow + into.byteLength <= WINDOW.bytes;
      if (!isShort) return found.tensor.read(at, into);
      const bytes = await window(found, at);
      into.set(bytes.subarray(inWindow, inWindow + into.byteLength));
    },
  };
}
