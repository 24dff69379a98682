/**
 * Perplexity of a model on a text for each type of key-value cache, and how far the logits move: what the default of `kv`
 * rests on. Usage: node dist/bench/perplexity.js [MODEL [TEXT]]; without them the model in the box and its held-out text.
 */
import { readFile } from "node:fs/promises";
import { Engine } from "../src/index.js";

const [model = "models/ternion-tiny.gguf", text = "models/held-out.txt"] = process.argv.slice(2);

/** Natural-log probabilities of the text's tokens, in windows of a whole context. */
async function scoreText(kv: "f32" | "i16"): Promise<Float64Array> {
  const engine = await Engine.load(model, { tuning: { kv }, maxSessions: 1 });
  try {
    const session = engine.session();
    const ids = engine.tokenizer.encode(await readFile(text, "utf8"), { addBos: false, parseSpecial: true });
    const logprobs: number[] = [];
    for (let first = 0; first < ids.length; first += engine.contextLength) {
      logprobs.push(...(await session.score(ids.slice(first, first + engine.contextLength))));
    }
    return Float64Array.from(logprobs);
  } finally {
    await engine.close();
  }
}

const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;

const exact = await scoreText("f32");
const rounded = await scoreText("i16");
const [a, b] = [Math.exp(-mean(exact)), Math.exp(-mean(rounded))];
const shift = exact.map((logprob, i) => Math.abs(logprob - rounded[i]));
console.log(`${exact.length} tokens of ${text}`);
console.log(`perplexity with f32: ${a.toFixed(5)}, with i16: ${b.toFixed(5)} (${(100 * (b / a - 1)).toFixed(4)} %)`);
console.log(`change of a log probability: mean ${mean(shift).toFixed(5)}, largest ${Math.max(...shift).toFixed(4)}`);
