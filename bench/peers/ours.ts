/** Ternion, in a process of its own. */
import { promptFor } from "../../src/cli/fixed-prompt.js";
import { generationRate, loadEngine, promptRate, tuningOptions } from "../engine.js";
import { type Engine, type Setup, serve } from "./protocol.js";

async function load({ model, threads, contextLength }: Setup): Promise<Engine> {
  const engine = await loadEngine(model, { threads, contextLength });
  const session = engine.session();
  const { head, kv } = tuningOptions();
  return {
    description: `ternion, ${engine.description}, head ${head}, cache ${kv}`,
    measure: (question) =>
      question.kind === "generate"
        ? generationRate(session, promptFor(engine, question.context), question.tokens)
        : promptRate(session, promptFor(engine, question.tokens)),
  };
}

await serve(load);
