/** `ternion trace`: every intermediate of the forward pass over given tokens, for comparison with another engine. */
import { basename } from "node:path";
import type { Command } from "commander";
import type { ModelConfig, TracedTensor } from "../index.js";
import { loadEngine, modelFile } from "./model.js";
import { addEngineOptions, type EngineFlags } from "./options.js";
import { checkOutput } from "./output.js";
import { type NamedTensor, writeSafetensors } from "./safetensors.js";
import { interruptSignal, note } from "./streams.js";
import { integerListOption } from "./values.js";

interface TraceOptions extends EngineFlags {
  readonly tokens: readonly number[];
  readonly out: string;
}

const EXAMPLES = `
Examples:
  ternion trace --tokens 1,2,3 --out trace.safetensors
  ternion trace --model model.gguf --backend reference --tokens 5,6 --out reference.safetensors

Names: embd, blk.N.{attn_norm, q_rope, k_rope, v, attn_ctx, attn_sub_norm, attn_out, ffn_norm, ffn_act,
ffn_sub_norm, ffn_down, l_out}, result_norm, logits. Each is F32 with a row for each token.`;

export function registerTrace(program: Command): void {
  const command = program
    .command("trace")
    .description("write every intermediate of the forward pass to a safetensors file")
    .addOption(integerListOption("--tokens <IDS>", "token ids, as in 1,2,3", { min: 0 }).makeOptionMandatory())
    .requiredOption("-o, --out <FILE>", "the file to write")
    .addHelpText("after", EXAMPLES)
    .action(trace);
  addEngineOptions(command, ["head"]);
}

async function trace(options: TraceOptions): Promise<void> {
  const signal = interruptSignal();
  await checkOutput("--out", options.out);
  const path = await modelFile(options, signal);
  // intermediates are for comparison: nothing is rounded that need not be
  const kv = options.kv ?? "f32";
  await using engine = await loadEngine(path, { ...options, kv }, { signal, maxSessions: 1 });
  const traced = await engine.trace(options.tokens);
  signal.throwIfAborted();
  const tensors = Array.from(traced, ([name, tensor]) => shaped(name, tensor, engine.config));
  await writeSafetensors(options.out, tensors, {
    tokens: options.tokens.join(","),
    model: basename(path),
    backend: engine.description,
  });
  note(`${options.out}: ${tensors.length} tensors for ${options.tokens.length} tokens, from ${engine.description}`);
}

/** Queries, keys and values are (rows, heads, headDim), all else (rows, width). */
function shaped(name: string, { rows, width, data }: TracedTensor, { headDim }: ModelConfig): NamedTensor {
  const perHead = /^blk\.\d+\.(q_rope|k_rope|v)$/.test(name);
  return { name, shape: perHead ? [rows, width / headDim, headDim] : [rows, width], data };
}
