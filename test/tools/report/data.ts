/** Figures of a report that nobody measured: for the rendering of pages. */
import { describeMachine } from "../../../src/platform/machine.js";
import type { ReportData } from "../../../src/tools/report/measure.js";
import type { ReportVerdict } from "../../../src/tools/report/verdict.js";

export function someData(of: { verdict?: ReportVerdict["status"]; prompt?: string } = {}): ReportData {
  const { verdict = "passed", prompt = "What is the capital of France?" } = of;
  return {
    machine: describeMachine(),
    model: { filename: "some.gguf", type: "bitnet I2_S", bytes: 4e6, weights: 9e6, bytesPerToken: 3e6, headBytes: 1e6 },
    backend: "cpu: 2 threads, relaxed SIMD, int16 dot",
    load: {
      steps: [
        { component: "metadata", ms: 10, bytes: 4096 },
        { component: "weights", ms: 30, bytes: 4e6 },
      ],
      totalMs: 40,
      repairs: [{ key: "tokenizer.ggml.pre", problem: "absent", replacement: "llama-bpe" }],
      i2sLayout: "block128",
    },
    memory: { engineBytes: 8e6, processBytes: 9e7, mostProcessBytes: 1e8 },
    verdict: { status: verdict, summary: "All ops are within their tolerances." },
    speeds: [
      { context: 16, promptPerSecond: 100, tokensPerSecond: 12.5, repetitions: 3 },
      { context: 128, promptPerSecond: 120, tokensPerSecond: 11.25, repetitions: 2 },
    ],
    leftOut: [{ context: 512, reason: "there was no time" }],
    ops: [
      { op: "ternary", calls: 160, ms: 30 },
      { op: "attend", calls: 64, ms: 10 },
    ],
    traffic: {
      weightBytes: 3e6,
      cacheBytesPerPosition: 1024,
      rows: [{ context: 16, bytesPerToken: 3.02e6, gbPerSecond: 2 }],
      roofGbPerSecond: 20,
    },
    prompts: [{ prompt, text: "The capital of France is Paris.", tokens: 8, ended: "stop", tokensPerSecond: 13.5 }],
    perplexity: {
      tokens: 150,
      windows: 1,
      loss: 2,
      lossError: 0.1,
      perplexity: Math.exp(2),
      ms: 1,
      tokensPerSecond: 1,
    },
    selfCheck: { ok: true, perplexity: 8, limit: 300, tokens: 40, ms: 1 },
  };
}
