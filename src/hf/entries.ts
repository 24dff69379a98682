/** Key-values of a GGUF file, made. */
import type { GgufKeyValue } from "../gguf/write.js";

export const text = (key: string, value: string): GgufKeyValue => ({ key, type: "STRING", value });
export const integer = (key: string, value: number): GgufKeyValue => ({ key, type: "U32", value });
export const flag = (key: string, value: boolean): GgufKeyValue => ({ key, type: "BOOL", value });
/** Rounded to float32, as a file gives it back. */
export const float = (key: string, value: number): GgufKeyValue => ({ key, type: "F32", value: Math.fround(value) });
export const strings = (key: string, values: readonly string[]): GgufKeyValue => {
  return { key, type: "ARRAY", value: { type: "STRING", values } };
};
