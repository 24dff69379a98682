/** What a model file comes to: its size, its weights, and what of it a token needs. */
import { basename } from "node:path";
import * as check from "../check.js";
import { readGguf } from "../gguf/gguf.js";
import type { ModelConfig } from "./config.js";

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

/** Reads the head of the file at `path`. */
export async function modelSummary(path: string, config: Pick<ModelConfig, "arch">): Promise<ModelSummary> {
  const { arch } = check.object("the config of an engine")("config", config) as typeof config;
  const { tensors } = await readGguf(path);
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
  return { filename: basename(path), type: `${arch} ${mainType}`, bytes, weights, bytesPerToken, headBytes };
}
