/** Bytes that a generated token moves from memory, and the roof of the machine. */
import type { Tuning } from "../../engine/options.js";
import type { ModelConfig } from "../../model/config.js";
import type { ModelSummary } from "../../model/summary.js";
import type { SpeedPoint } from "./speeds.js";

/** Bytes that a token reads, and what that comes to in GB/s. */
export interface Traffic {
  /** bytes of weights that a token depends on, in the form in which they are read */
  readonly weightBytes: number;
  /** bytes of keys and values a position of the context */
  readonly cacheBytesPerPosition: number;
  readonly rows: readonly { readonly context: number; readonly bytesPerToken: number; readonly gbPerSecond: number }[];
  /** what as many threads read from memory with no work on it */
  readonly roofGbPerSecond: number;
}

/** Undefined for a backend other than the CPU, whose memory is another one. */
export async function trafficOf(of: {
  model: ModelSummary;
  config: ModelConfig;
  speeds: readonly SpeedPoint[];
  backend: string;
  tuning: Tuning;
}): Promise<Traffic | undefined> {
  const { model, config, speeds, tuning } = of;
  const threads = /^cpu: (\d+) thread/.exec(of.backend)?.[1];
  if (threads === undefined) return undefined;
  const { readBandwidth } = await import("../../backend/cpu/bandwidth.js");
  const weightBytes = model.bytesPerToken - model.headBytes + headBytes(model, config, tuning);
  const { layers, kvHeads, headDim } = config;
  const bytesOfHead = tuning.kv === "f32" ? 4 * headDim : 2 * headDim + 4; // 16-bit integers with a scale
  const cacheBytesPerPosition = 2 * layers * kvHeads * bytesOfHead;
  const rows = speeds.map(({ context, tokensPerSecond }) => {
    const bytesPerToken = weightBytes + context * cacheBytesPerPosition;
    return { context, bytesPerToken, gbPerSecond: (bytesPerToken * tokensPerSecond) / 1e9 };
  });
  return { weightBytes, cacheBytesPerPosition, rows, roofGbPerSecond: (await readBandwidth(Number(threads))) / 1e9 };
}

/** The head is read from its 8-bit copy, unless it is asked for in full. */
function headBytes({ headBytes: whole }: ModelSummary, { vocabularySize, width }: ModelConfig, { head }: Tuning) {
  return head === "f16" ? whole : vocabularySize * width;
}
