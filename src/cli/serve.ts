/** `ternion serve`: the models over HTTP, until Ctrl-C. */
import type { Command } from "commander";
import type { ModelEntry, RunningServer, ServerOptions } from "../server/index.js";
import { messageOf } from "./exit.js";
import { addEngineOptions, type EngineFlags, engineOptions } from "./options.js";
import { LoadingBar } from "./progress.js";
import { note } from "./streams.js";
import { integerOption, repeatedOption } from "./values.js";

interface ServeOptions extends Omit<EngineFlags, "model"> {
  readonly model?: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly apiKey?: readonly string[];
  readonly parallel?: number;
  readonly maxQueue?: number;
  readonly queueTimeout?: number;
  readonly requestTimeout?: number;
  readonly maxModels?: number;
  readonly maxTokens?: number;
  readonly maxBody?: number;
  readonly corsOrigin?: readonly string[];
}

const EXAMPLES = `
Examples:
  ternion serve
  ternion serve --model model.gguf --port 8000 --api-key secret
  ternion serve --model small=a.gguf --model large=b.gguf --max-models 1

The API is that of OpenAI, at http://HOST:PORT/v1. The first model answers requests that name none.`;

export function registerServe(program: Command): void {
  const command = program
    .command("serve")
    .description("answer over HTTP, by the API of OpenAI")
    .addHelpText("after", EXAMPLES)
    .action(serve);
  addEngineOptions(
    command,
    [],
    repeatedOption("-m, --model <[NAME=]FILE|URL>", "GGUF model; default: the model that comes with ternion"),
  );
  const seconds = (flags: string, description: string) => integerOption(flags, description, { min: 1, max: 86_400 });
  command
    .option("--host <ADDRESS>", "where to listen; default: 127.0.0.1, this machine only")
    .addOption(integerOption("-p, --port <N>", "0: a free one; default: 8080", { min: 0, max: 65_535 }))
    .addOption(repeatedOption("--api-key <KEY>", "requests must give it, all but those of health"))
    .addOption(repeatedOption("--cors-origin <ORIGIN>", "web pages from there may read answers, *: from everywhere"))
    .addOption(
      integerOption("--parallel <N>", "answers of a model at the same time; default: the engine's", {
        min: 1,
        max: 1024,
      }),
    )
    .addOption(integerOption("--max-queue <N>", "requests that may wait for a model; default: 256", { min: 0 }))
    .addOption(seconds("--queue-timeout <S>", "most seconds that one waits; default: 60"))
    .addOption(seconds("--request-timeout <S>", "most seconds that one takes in all; default: 600"))
    .addOption(integerOption("--max-models <N>", "models loaded at the same time; default: all", { min: 1 }))
    .addOption(
      integerOption("-n, --max-tokens <N>", "most tokens of an answer; default: what the context holds", { min: 1 }),
    )
    .addOption(integerOption("--max-body <BYTES>", "most bytes of a request; default: 4194304", { min: 1 }));
}

async function serve(options: ServeOptions): Promise<void> {
  const { startServer } = await import("../server/index.js"); // other commands do without its packages
  const bar = new LoadingBar();
  let server: RunningServer;
  try {
    server = await startServer(serverOptions(options, bar));
  } finally {
    bar.stop();
  }
  note(`listening at ${server.url}`);
  await stopped();
  await server.close();
}

function serverOptions({ model, host, port, apiKey, ...options }: ServeOptions, bar: LoadingBar): ServerOptions {
  const { queueTimeout, requestTimeout, maxQueue, maxModels, maxTokens, maxBody, corsOrigin, parallel, ...flags } =
    options;
  return {
    models: model?.map(modelEntry),
    engine: {
      ...engineOptions(flags),
      maxSessions: parallel,
      onProgress: ({ phase, loadedBytes, totalBytes }) => bar.show(phase, loadedBytes, totalBytes),
      onFallback: (reason) => note(`${messageOf(reason)} Going on with the CPU.`),
    },
    host,
    port,
    apiKeys: apiKey,
    corsOrigins: corsOrigin,
    maxQueue,
    queueTimeoutMs: milliseconds(queueTimeout),
    requestTimeoutMs: milliseconds(requestTimeout),
    maxModels,
    maxTokens,
    maxBodyBytes: maxBody,
  };
}

const milliseconds = (seconds: number | undefined) => (seconds === undefined ? undefined : 1000 * seconds);

/** A name has no slash, which sets it apart from a path or an address with "=" in it. */
function modelEntry(text: string): ModelEntry {
  const [, name, model] = /^([\w.:-]+)=(.+)$/s.exec(text) ?? [];
  return name === undefined ? { model: text } : { name, model };
}

/** Resolves at Ctrl-C, or where a service manager asks to end. */
function stopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
}
