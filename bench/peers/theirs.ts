/** node-llama-cpp, in a process of its own. It is no dependency: `peers.ts` installs it beside the models. */
import { openPeer, type Sequence } from "./node-llama-cpp.js";
import { type Engine, type Setup, serve } from "./protocol.js";

async function load(setup: Setup): Promise<Engine> {
  const { description, sequences, ids } = await openPeer(setup, 1, setup.contextLength);
  const [sequence] = sequences;
  return {
    description,
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
