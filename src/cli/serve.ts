/** `ternion serve`: the models over HTTP, until Ctrl-C. */
import type { Command } from "commander";
import type { Pooling } from "../index.js";
import type { ModelEntry, RunningServer, ServerOptions } from "../server/index.js";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../server/logs.js";
import { EXIT, messageOf } from "./exit.js";
import { addEngineOptions, type EngineFlags, engineOptions } from "./options.js";
import { type ShowBytes, withBar } from "./progress.js";
import { note } from "./streams.js";
import { choiceOption, integerOption, repeatedOption } from "./values.js";

interface ServeOptions extends Omit<EngineFlags, "model"> {
  readonly model?: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly apiKey?: readonly string[];
  readonly parallel?: number;
  readonly cachePositions?: number;
  readonly maxQueue?: number;
  readonly queueTimeout?: number;
  readonly requestTimeout?: number;
  readonly maxModels?: number;
  readonly maxTokens?: number;
  readonly pooling?: Pooling;
  readonly maxBody?: number;
  readonly corsOrigin?: readonly string[];
  readonly allowedHost?: readonly string[];
  readonly drainTimeout?: number;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  readonly page: boolean;
}

const DRAIN_SECONDS = 30;
const POOLINGS: readonly Pooling[] = ["mean", "last", "cls"];

const EXAMPLES = `
Examples:
  ternion serve
  ternion serve --model model.gguf --port 8000 --api-key secret
  ternion serve --model small=a.gguf --model large=b.gguf --max-models 1

The API is that of OpenAI, at http://HOST:PORT/v1. The first model answers requests that name none. A browser finds a page to
chat at http://HOST:PORT/.`;

export function registerServe(program: Command): void {
  const command = program
    .command("serve")
    .description("answer over HTTP, by the API of OpenAI")
    .addHelpText("after", EXAMPLES)
    .action(serve);
  addEngineOptions(
    command,
    [],
    repeatedOption(
      "-m, --model <[NAME=]FILE|URL>",
      "GGUF model, or a name as hf:ORG/REPO; default: the model that comes with ternion",
    ),
  );
  const seconds = (flags: string, description: string) => integerOption(flags, description, { min: 1, max: 86_400 });
  command
    .addOption(
      choiceOption(
        "--pooling <KIND>",
        "how /v1/embeddings makes a vector of a text; default: as the model says",
        POOLINGS,
      ),
    )
    .option("--host <ADDRESS>", "where to listen; default: 127.0.0.1, this machine only")
    .addOption(integerOption("-p, --port <N>", "0: a free one; default: 8080", { min: 0, max: 65_535 }))
    .addOption(
      repeatedOption("--api-key <KEY>", "requests must give it, all but those of health; default: $TERNION_API_KEY"),
    )
    .addOption(repeatedOption("--cors-origin <ORIGIN>", "web pages from there may read answers, *: from everywhere"))
    .addOption(repeatedOption("--allowed-host <NAME>", "a name by which the server may be called, see docs/server.md"))
    .option("--no-page", "no chat page at the root")
    .addOption(
      integerOption("--parallel <N>", "answers of a model at the same time; default: the engine's", {
        min: 1,
        max: 1024,
      }),
    )
    .addOption(
      integerOption(
        "--cache-positions <N>",
        "tokens that the key-value cache of a model holds, of all answers together; at least the context; default: as many " +
          "as fit 4 contexts",
        { min: 1 },
      ),
    )
    .addOption(integerOption("--max-queue <N>", "requests that may wait for a model; default: 256", { min: 0 }))
    .addOption(seconds("--queue-timeout <S>", "most seconds that one waits; default: 60"))
    .addOption(seconds("--request-timeout <S>", "most seconds that one takes in all; default: 600"))
    .addOption(integerOption("--max-models <N>", "models loaded at the same time; default: all", { min: 1 }))
    .addOption(
      integerOption("-n, --max-tokens <N>", "most tokens of an answer; default: what the context holds", { min: 1 }),
    )
    .addOption(
      integerOption(
        "--drain-timeout <S>",
        `most seconds that answers have to end at SIGTERM or Ctrl-C; default: ${DRAIN_SECONDS}`,
        { min: 0, max: 86_400 },
      ),
    )
    .addOption(
      choiceOption(
        "--log-level <LEVEL>",
        "what goes to the log on stderr; default: info, a line a request",
        LOG_LEVELS,
      ),
    )
    .addOption(choiceOption("--log-format <FORMAT>", "default: pretty on a terminal, else json", LOG_FORMATS))
    .addOption(integerOption("--max-body <BYTES>", "most bytes of a request; default: 4194304", { min: 1 }));
}

async function serve({ drainTimeout = DRAIN_SECONDS, ...options }: ServeOptions): Promise<void> {
  const stop = stopSignal();
  const server = await Promise.race([started(options), stop]);
  if (server === undefined) process.exit(EXIT.ok); // while it loads there is nothing to wait for
  note(`listening at ${server.url}${options.page ? " (a page to chat is there too)" : ""}`);
  await stop;
  note("stopping: answers under way may end; a second signal ends them at once");
  await server.drain(1000 * drainTimeout);
}

async function started(options: Omit<ServeOptions, "drainTimeout">): Promise<RunningServer> {
  const { startServer } = await import("../server/index.js"); // other commands do without its packages
  return withBar((show) => startServer(serverOptions(options, show)));
}

function serverOptions(
  { model, host, port, apiKey, logLevel, logFormat, page, ...options }: Omit<ServeOptions, "drainTimeout">,
  show: ShowBytes,
): ServerOptions {
  const { queueTimeout, requestTimeout, maxQueue, maxModels, maxTokens, maxBody, parallel, cachePositions, ...others } =
    options;
  const { corsOrigin, allowedHost, pooling, ...flags } = others;
  return {
    models: model?.map(modelEntry),
    engine: {
      ...engineOptions(flags),
      pooling,
      maxSessions: parallel,
      cachePositions,
      onProgress: ({ phase, loadedBytes, totalBytes }) => show(phase, loadedBytes, totalBytes),
      onFallback: (reason) => note(`${messageOf(reason)} Going on with the CPU.`),
    },
    host,
    port,
    page,
    apiKeys: apiKey ?? keysOfEnvironment(),
    logLevel: logLevel ?? "info",
    logFormat: logFormat ?? (process.stderr.isTTY ? "pretty" : "json"),
    corsOrigins: corsOrigin,
    allowedHosts: allowedHost,
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

/** A command line can be read by every user of the machine. */
function keysOfEnvironment(): readonly string[] | undefined {
  const key = process.env.TERNION_API_KEY;
  return key === undefined || key === "" ? undefined : [key];
}

/** Resolves at Ctrl-C, or where a service manager asks to end; from then on another such signal ends the process. */
function stopSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    let came = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (came) process.exit(EXIT.ok);
        came = true;
        resolve(undefined);
      });
    }
  });
}
