/** node-llama-cpp, in a process of its own. It is no dependency: `peers.ts` installs it beside the models. */
import { pathToFileURL } from "node:url";
import { fixedPrompt } from "../../src/cli/fixed-prompt.js";
import { CACHE } from "../options.js";
import { type Engine, type Setup, serve } from "./protocol.js";

/** The part of its interface that is used here. */
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
  createContext(options: object): Promise<{ readonly batchSize: number; getSequence(): Sequence }>;
}
interface Sequence {
  readonly nextTokenIndex: number;
  clearHistory(): Promise<void>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
}

const VERSION = "3.22.1";
const ENTRY = pathToFileURL(`${CACHE}peers/node_modules/node-llama-cpp/dist/index.js`).href;

async function load({ model: modelPath, threads, contextLength }: Setup): Promise<Engine> {
  const { getLlama } = (await import(ENTRY)) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: threads,
    logLevel: "error",
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: contextLength, threads, batchSize: 512 });
  const sequence = context.getSequence();
  const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const ids = fixedPrompt(contextLength, vocabulary, model.tokens.bos ?? undefined);
  return {
    description: `node-llama-cpp ${VERSION} (llama.cpp ${llama.llamaCppRelease.release}), TQ2_0, Q6_K head`,
    measure: (question) =>
      question.kind === "generate"
        ? generate(sequence, ids.slice(0, question.context), question.tokens)
        : prompt(sequence, ids.slice(0, question.tokens)),
  };
}

/** The sequence is left at all ids but the last, and found so by the next call. */
async function generate(sequence: Sequence, ids: readonly number[], tokens: number): Promise<number> {
  const kept = ids.length - 1;
  if (sequence.nextTokenIndex !== kept) {
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, kept));
  }
  let generated = -1; // the first comes with the prompt's last pass
  let start = 0;
  for await (const _ of sequence.evaluate([ids[kept]], { temperature: 0, yieldEogToken: true })) {
    if (++generated === 0) start = performance.now();
    if (generated === tokens) break;
  }
  const rate = (1000 * tokens) / (performance.now() - start);
  await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }]);
  return rate;
}

async function prompt(sequence: Sequence, ids: readonly number[]): Promise<number> {
  await sequence.clearHistory();
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids);
  return (1000 * ids.length) / (performance.now() - start);
}

await serve(load);
