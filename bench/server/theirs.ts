/** node-llama-cpp with as many sequences as there are clients, in a process of its own; the batching is its own. */
import { pathToFileURL } from "node:url";
import { fixedPrompt } from "../../src/cli/fixed-prompt.js";
import { CACHE } from "../options.js";
import { type Engine, type Setup, serve } from "../peers/protocol.js";
import { longestPause, promptOf, type ServerFigure, type ServerQuestion } from "./questions.js";

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
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
}

const ENTRY = pathToFileURL(`${CACHE}peers/node_modules/node-llama-cpp/dist/index.js`).href;
const SAMPLING = { temperature: 1, topK: 40, seed: 1, yieldEogToken: true };
const MOST_CLIENTS = 16;

async function load({
  model: modelPath,
  threads,
  contextLength,
}: Setup): Promise<Engine<ServerQuestion, ServerFigure>> {
  const { getLlama } = (await import(ENTRY)) as NodeLlamaCpp;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: threads,
    logLevel: "error",
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const sizes = { contextSize: contextLength, sequences: MOST_CLIENTS, threads, batchSize: 512 };
  const context = await model.createContext(sizes);
  const sequences = Array.from({ length: MOST_CLIENTS }, () => context.getSequence());
  const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const ids = fixedPrompt(2 * contextLength, vocabulary, model.tokens.bos ?? undefined);
  return {
    description: `node-llama-cpp (llama.cpp ${llama.llamaCppRelease.release}), TQ2_0, Q6_K head`,
    measure: async (question) => {
      for (const sequence of sequences) await sequence.clearHistory();
      return question.kind === "beside" ? beside(sequences, ids, question) : clients(sequences, ids, question);
    },
  };
}

async function clients(
  sequences: readonly Sequence[],
  ids: readonly number[],
  { clients, prompt, tokens }: Extract<ServerQuestion, { kind: "clients" }>,
): Promise<ServerFigure> {
  const start = performance.now();
  await Promise.all(
    sequences.slice(0, clients).map((sequence, client) => timesOf(sequence, promptOf(ids, client, prompt), tokens)),
  );
  return { tokensPerSecond: (1000 * clients * tokens) / (performance.now() - start) };
}

async function beside(
  [first, second]: readonly Sequence[],
  ids: readonly number[],
  { prompt, running }: Extract<ServerQuestion, { kind: "beside" }>,
): Promise<ServerFigure> {
  const stop = new AbortController();
  const times: number[] = [];
  const other = running ? timesOf(first, promptOf(ids, 1, 32), 1000, { times, signal: stop.signal }) : undefined;
  while (running && times.length < 8) await new Promise((resolve) => setTimeout(resolve, 1));
  const start = performance.now();
  const [end] = await timesOf(second, promptOf(ids, 0, prompt), 1);
  stop.abort();
  await other;
  return { firstMs: end - start, stallMs: longestPause(times, start, end) };
}

/** When each token came. */
async function timesOf(
  sequence: Sequence,
  prompt: readonly number[],
  tokens: number,
  { times = [], signal }: { times?: number[]; signal?: AbortSignal } = {},
): Promise<number[]> {
  for await (const _ of sequence.evaluate(prompt, SAMPLING)) {
    times.push(performance.now());
    if (times.length === tokens || signal?.aborted) break;
  }
  return times;
}

await serve(load);
