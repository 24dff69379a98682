/** The part of node-llama-cpp that the benchmarks use. It is no dependency: `install.ts` puts it beside the models. */
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { fixedPrompt } from "../../src/cli/fixed-prompt.js";
import { CACHE } from "../options.js";
import { VERSION } from "./install.js";
import type { Setup } from "./protocol.js";

interface NodeLlamaCpp {
  getLlama(options: object): Promise<Llama>;
}
interface Llama {
  readonly llamaCppRelease: { readonly release: string };
  loadModel(options: object): Promise<Model>;
}
interface Model {
  readonly tokens: { readonly bos: number | null };
  readonly fileInfo: { readonly metadata: { readonly tokenizer: { readonly ggml: { readonly tokens: unknown[] } } } };
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
  dispose(): Promise<void>;
}
export interface Sequence {
  readonly nextTokenIndex: number;
  clearHistory(): Promise<void>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  /** Of each token the logits after it, where they are asked for. */
  controlledEvaluate(
    tokens: readonly (readonly [token: number, options: { readonly generateNext: { readonly logits: true } }])[],
  ): Promise<readonly { readonly next: { readonly logits: ReadonlyMap<number, number> } }[]>;
}

/** "TQ2_0, Q6_K head" of the model that `bench/model.ts` makes; of another one its name. */
function contentsOf(path: string): string {
  const name = basename(path, ".gguf");
  return name === "2B-4T-tq2_0" ? "TQ2_0, Q6_K head" : name;
}

const ENTRY = pathToFileURL(`${CACHE}peers/node_modules/node-llama-cpp/dist/index.js`).href;

/** The model on the CPU, `count` sequences of its context, and a prompt of `length` ids; `more`: options of the context. */
export async function openPeer(
  { model: modelPath, threads, contextLength }: Setup,
  count: number,
  length: number,
  more: object = {},
) {
  const { getLlama } = (await import(ENTRY)) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: threads,
    logLevel: "error",
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const sizes = { contextSize: contextLength, sequences: count, threads, batchSize: 512, ...more };
  const context = await model.createContext(sizes);
  const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  return {
    description: `node-llama-cpp ${VERSION} (llama.cpp ${llama.llamaCppRelease.release}), ${contentsOf(modelPath)}`,
    model,
    sequences: Array.from({ length: count }, () => context.getSequence()),
    ids: fixedPrompt(length, vocabulary, model.tokens.bos ?? undefined),
  };
}
