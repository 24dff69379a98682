/** node-llama-cpp with as many sequences as there are clients, in a process of its own; the batching is its own. */
import { openPeer, type Sequence } from "../peers/node-llama-cpp.js";
import { type Engine, type Setup, serve } from "../peers/protocol.js";
import { longestPause, promptOf, type ServerFigure, type ServerQuestion } from "./questions.js";

const SAMPLING = { temperature: 1, topK: 40, seed: 1, yieldEogToken: true };
const MOST_CLIENTS = 16;

async function load(setup: Setup): Promise<Engine<ServerQuestion, ServerFigure>> {
  const { description, sequences, ids } = await openPeer(setup, MOST_CLIENTS, 2 * setup.contextLength);
  return {
    description,
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
