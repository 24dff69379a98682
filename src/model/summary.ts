/** What a model file comes to: its size, its weights, and what of it a token needs. */
import { lastName } from "../errors.js";
import type { GgufFile } from "../gguf/file.js";
import type { ModelConfig } from "./config.js";

/** What a model is, in a few numbers. */
export interface ModelSummary {
  readonly filename: string;
  readonly type: string;
  readonly bytes: number;
  readonly weights: number;
  /** bytes in the file that a token depends on: all but the embedding, unless it is the head too */
  readonly bytesPerToken: number;
  /** of them those of the head */
  readonly headBytes: number;
}

export function summaryOf({ name, tensors }: GgufFile, { arch }: Pick<ModelConfig, "arch">): ModelSummary {
  const weightsByType = new Map<string, number>();
  let [bytes, weights] = [0, 0];
  for (const { type, dims, byteLength } of tensors.values()) {
    const count = dims.reduce((product, dim) => product * dim, 1);
    weightsByType.set(type, (weightsByType.get(type) ?? 0) + count);
    bytes += byteLength;
    weights += count;
  }
  const [mainType] = [...weightsByType].sort((a, b) => b[1] - a[1])[0] ?? ["?"];
  const tied = !tensors.has("output.weight");
  const headBytes = tensors.get(tied ? "token_embd.weight" : "output.weight")?.byteLength ?? 0;
  const unread = tied ? 0 : (tensors.get("token_embd.weight")?.byteLength ?? 0);
  const bytesPerToken = bytes - unread;
  return { filename: lastName(name), type: `${arch} ${mainType}`, bytes, weights, bytesPerToken, headBytes };
}
