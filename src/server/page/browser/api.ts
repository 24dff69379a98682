/** The server as any client of the OpenAI API sees it: the models it offers, and one answer as a stream of events. */
import type { Figures } from "./conversation.js";
import { eventData } from "./sse.js";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** fields of the request by their names; what is missing is left to the server */
  readonly sampling: Readonly<Record<string, number>>;
}

export type ChatEvent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "end"; readonly reason: string }
  | { readonly kind: "figures"; readonly figures: Figures };

type Kind = "unreachable" | "key" | "busy" | "refused" | "broken";

/** What went wrong, in words for the reader of the page. */
export class ServerError extends Error {
  constructor(
    readonly kind: Kind,
    message: string,
  ) {
    super(message);
    this.name = "ServerError";
  }
}

export interface Access {
  /** "" where there is none */
  readonly key: string;
  readonly signal?: AbortSignal;
}

/** Names of the models, the server's order. */
export async function listModels(access: Access): Promise<string[]> {
  const response = await ask("v1/models", {}, access);
  const body = (await response.json()) as { data?: { id?: unknown }[] };
  return (body.data ?? []).map(({ id }) => id).filter((id) => typeof id === "string");
}

/** Ends without an error only where the server has ended the answer. An abort comes out as the fetch's own AbortError. */
export async function* chat(request: ChatRequest, access: Access): AsyncGenerator<ChatEvent, void, undefined> {
  const { model, messages, sampling } = request;
  const body = { model, messages, stream: true, stream_options: { include_usage: true }, ...sampling };
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await ask("v1/chat/completions", init, access);
  try {
    for await (const data of eventData(response.body as ReadableStream<Uint8Array>)) {
      const done = data.indexOf("[DONE]");
      const chunks = (done < 0 ? data : data.slice(0, done)).map((each) => JSON.parse(each) as Chunk);
      yield* joined(chunks);
      if (done >= 0) return;
    }
  } catch (error) {
    if (error instanceof ServerError || access.signal?.aborted) throw error;
    throw new ServerError("broken", "The connection to the server was lost before the answer was complete.");
  }
  throw new ServerError("broken", "The server closed the connection before the answer was complete.");
}

interface Chunk {
  readonly error?: { readonly message?: string };
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  } | null;
  readonly timings?: { readonly predicted_per_second?: number; readonly prompt_per_second?: number } | null;
}

/** The events of chunks that came together, their texts as one; an error ends them. */
function* joined(chunks: readonly Chunk[]): Generator<ChatEvent> {
  const failed = chunks.findIndex(({ error }) => error !== undefined);
  let text = "";
  for (const event of chunks.slice(0, failed < 0 ? undefined : failed).flatMap((chunk) => [...eventsOf(chunk)])) {
    if (event.kind === "text") text += event.text;
    else yield event;
  }
  if (text !== "") yield { kind: "text", text };
  if (failed < 0) return;
  throw new ServerError("broken", chunks[failed]?.error?.message ?? "The server ended the answer with an error.");
}

function* eventsOf({ choices, usage, timings }: Chunk): Generator<ChatEvent> {
  const choice = choices?.[0];
  if (choice?.delta?.content) yield { kind: "text", text: choice.delta.content };
  if (choice?.finish_reason) yield { kind: "end", reason: choice.finish_reason };
  const figures = {
    ...defined("promptTokens", usage?.prompt_tokens),
    ...defined("cachedTokens", usage?.prompt_tokens_details?.cached_tokens),
    ...defined("answerTokens", usage?.completion_tokens),
    ...defined("tokensPerSecond", timings?.predicted_per_second),
    ...defined("promptPerSecond", timings?.prompt_per_second),
  };
  if (Object.keys(figures).length > 0) yield { kind: "figures", figures };
}

/** Nothing where the value is no number, so that a later chunk without a figure leaves an earlier one alone. */
const defined = (name: keyof Figures, value: unknown): Figures =>
  typeof value === "number" && Number.isFinite(value) ? { [name]: value } : {};

/** Addresses are relative to the page, which may stand below a prefix. */
async function ask(path: string, init: RequestInit, { key, signal }: Access): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key !== "") headers.set("authorization", `Bearer ${key}`);
  const request = { ...init, headers, cache: "no-store", ...(signal && { signal }) } as const;
  const response = await fetch(path, request).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ServerError("unreachable", `No server answers at ${location.host}. Is \`ternion serve\` still running?`);
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response: Response): Promise<ServerError> {
  const body = (await response.json().catch(() => undefined)) as { error?: { message?: unknown } } | undefined;
  const message = body?.error?.message;
  const words = typeof message === "string" && message !== "" ? message : `The server answered ${response.status}.`;
  if (response.status === 401 || response.status === 403) return new ServerError("key", words);
  if (response.status === 429 || response.status === 503) {
    const seconds = Number(response.headers.get("retry-after"));
    const later = seconds > 0 ? ` Try again in ${seconds} s.` : " Try again in a moment.";
    return new ServerError("busy", `The server is busy. ${words}${later}`);
  }
  return new ServerError("refused", words);
}
