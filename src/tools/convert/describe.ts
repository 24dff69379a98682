/** The metadata that says what a written file holds. */
import { hasLayouts } from "../../formats/table.js";
import { TERNARY_LAYOUT } from "../../gguf/metadata.js";
import type { GgmlType } from "../../gguf/types.js";
import type { GgufKeyValue, GgufTensorInfo } from "../../gguf/write.js";

/** Values of general.file_type: what most weights of the file are (llama.cpp, `llama_ftype`; 40 is bitnet.cpp's). */
const FILE_TYPES: Partial<Record<GgmlType, number>> = {
  F32: 0,
  F16: 1,
  Q8_0: 7,
  BF16: 32,
  TQ1_0: 36,
  TQ2_0: 37,
  I2_S: 40,
};

const FILE_TYPE = "general.file_type";
const VERSION = "general.quantization_version";

export function described(
  metadata: readonly GgufKeyValue[],
  tensors: readonly GgufTensorInfo[],
): readonly GgufKeyValue[] {
  const all = new Map(metadata.map((entry) => [entry.key, entry]));
  const put = (entry: GgufKeyValue) => all.set(entry.key, entry);
  const type = FILE_TYPES[mainTypeOf(tensors)];
  if (type !== undefined) put({ key: FILE_TYPE, type: "U32", value: type });
  if (!all.has(VERSION)) put({ key: VERSION, type: "U32", value: 2 });
  all.delete(TERNARY_LAYOUT);
  const hasCodes = tensors.some(({ type, dims }) => dims.length > 1 && isKnownToHaveLayouts(type));
  if (hasCodes) put({ key: TERNARY_LAYOUT, type: "STRING", value: "block128" });
  return [...all.values()];
}

/** Tensors that no model here uses may have other types. */
const isKnownToHaveLayouts = (type: GgmlType) => type in FILE_TYPES && hasLayouts({ type });

function mainTypeOf(tensors: readonly GgufTensorInfo[]): GgmlType {
  const weights = new Map<GgmlType, number>();
  for (const { type, dims } of tensors) {
    weights.set(type, (weights.get(type) ?? 0) + dims.reduce((product, dim) => product * dim, 1));
  }
  return [...weights].reduce((most, each) => (each[1] > most[1] ? each : most))[0];
}
