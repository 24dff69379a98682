/** Ternion, in a process of its own. */
import { engineOptions, generationRate, loadEngine, prompt, promptRate } from "../engine.js";
import { type Engine, type Setup, serve } from "./protocol.js";

async function load({ model, threads, contextLength }: Setup): Promise<Engine> {
  const engine = await loadEngine(model, { threads, contextLength });
  const session = engine.session();
  const { head, kv } = engineOptions();
  return {
    description: `ternion, ${engine.description}, head ${head}, cache ${kv}`,
    measure: (question) =>
      question.kind === "generate"
        ? generationRate(session, prompt(engine, question.context), question.tokens)
        : promptRate(session, prompt(engine, question.tokens)),
  };
}

await serve(load);
