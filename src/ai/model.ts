/**
 * A language model of the AI SDK on an engine of this process. Each call has a session of its own, which ends with the
 * answer, whatever ends it: equal beginnings of prompts are found in the engine's cache.
 */
import type { Engine, Piece, Session } from "../index.js";
import { failedPart, partsOf } from "./parts.js";
import { messagesOf } from "./prompt.js";
import { settingsOf } from "./settings.js";
import type {
  CallOptions,
  GenerateResult,
  ResponseMetadata,
  SpecificationVersion,
  StreamPart,
  StreamResult,
  TextContent,
  Warning,
} from "./specification.js";

/** What `generateText`, `streamText` and the others take as `model`. */
export class TernionLanguageModel<Version extends SpecificationVersion = "v3"> {
  readonly specificationVersion: Version;
  readonly provider = "ternion";
  readonly modelId: string;
  /** none: no file is read, so none is fetched */
  readonly supportedUrls: Record<string, RegExp[]> = {};
  readonly #engine: () => Promise<Engine>;

  /** Made by `createTernion`. `engine` gives the one engine of the provider, and loads it when it is asked first. */
  constructor(specificationVersion: Version, modelId: string, engine: () => Promise<Engine>) {
    this.specificationVersion = specificationVersion;
    this.modelId = modelId;
    this.#engine = engine;
  }

  /** A whole answer. Rejects with what went wrong, and with the reason of `abortSignal`. */
  async doGenerate(call: CallOptions): Promise<GenerateResult> {
    await using answer = await this.#answer(call);
    const content: GenerateResult["content"] = [];
    let text: TextContent = { type: "text", text: "" };
    for await (const part of answer.parts) {
      if (part.type === "text-start") {
        text = { type: "text", text: "" };
        content.push(text);
      } else if (part.type === "text-delta") {
        text.text += part.delta;
      } else if (part.type === "tool-call") {
        content.push(part);
      } else if (part.type === "finish") {
        const { finishReason, usage, providerMetadata = {} } = part;
        const { warnings, response } = answer;
        return { content, finishReason, usage, providerMetadata, response, warnings };
      }
    }
    throw new Error("the answer ended without a last piece");
  }

  /**
   * An answer as it is made. A wrong argument rejects; what goes wrong later is a part of type "error", and an abort is
   * the error of the stream. A reader that is slow slows the answer, and one that cancels ends it.
   */
  async doStream(call: CallOptions): Promise<StreamResult> {
    const canceled = new AbortController();
    const { abortSignal } = call;
    const signal = abortSignal === undefined ? canceled.signal : AbortSignal.any([abortSignal, canceled.signal]);
    const answer = await this.#answer({ ...call, abortSignal: signal });
    return { stream: streamOf(streamed(answer, signal), canceled) };
  }

  async #answer(call: CallOptions): Promise<Answer> {
    const { options, warnings } = settingsOf(call);
    const messages = messagesOf(call.prompt);
    const engine = await unlessAborted(this.#engine(), call.abortSignal);
    const session = engine.session();
    const response = { id: `ternion-${crypto.randomUUID()}`, timestamp: new Date(), modelId: this.modelId };
    const pieces = session.chat(messages, options);
    return new Answer(session, pieces, { warnings, response, raw: call.includeRawChunks });
  }
}

interface AnswerAbout {
  readonly warnings: Warning[];
  readonly response: ResponseMetadata;
  readonly raw?: boolean | undefined;
}

/** An answer and the session that makes it. */
class Answer implements AsyncDisposable {
  readonly warnings: Warning[];
  readonly response: ResponseMetadata;
  readonly parts: AsyncGenerator<StreamPart, void, undefined>;
  readonly #session: Session;

  constructor(session: Session, pieces: AsyncIterable<Piece>, { warnings, response, raw }: AnswerAbout) {
    this.#session = session;
    this.warnings = warnings;
    this.response = response;
    this.parts = partsOf(pieces, { raw });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts.return();
    await this.#session.close();
  }
}

/** All parts of a stream, with an error as one of them unless it is an abort. */
async function* streamed(answer: Answer, signal: AbortSignal): AsyncGenerator<StreamPart, void, undefined> {
  await using _ = answer;
  yield { type: "stream-start", warnings: answer.warnings };
  yield { type: "response-metadata", ...answer.response };
  try {
    yield* answer.parts;
  } catch (error) {
    signal.throwIfAborted();
    yield { type: "error", error };
    yield failedPart();
  }
}

/** Takes a part when one is asked for. */
function streamOf(parts: AsyncGenerator<StreamPart>, canceled: AbortController): ReadableStream<StreamPart> {
  return new ReadableStream<StreamPart>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        canceled.abort();
        await parts.return(undefined).catch(() => {}); // the abort
      },
    },
    { highWaterMark: 0 },
  );
}

/** The engine goes on loading for the others when one call is aborted. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  if (signal === undefined) return promise;
  const ended = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { signal: ended.signal });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    ended.abort();
  }
}
