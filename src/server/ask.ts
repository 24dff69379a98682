/** What a request asks of the service: one answer. */
import type { ChatMessage, SessionChatOptions } from "../index.js";
import type { FieldNames } from "./errors.js";

export type Prompt =
  | { readonly messages: readonly ChatMessage[] }
  | { readonly text: string }
  | { readonly ids: readonly number[] };

export interface Ask {
  /** as the request named it; undefined: the first model */
  readonly model: string | undefined;
  readonly prompt: Prompt;
  /** of `session.chat`, or of `session.generate` where the prompt is no messages */
  readonly options: Omit<SessionChatOptions, "signal">;
  /** where the schemas of the options stand in the request's body, if there are any */
  readonly fields?: FieldNames | undefined;
  /** who asks, for fairness, see `clientOf` */
  readonly client: string;
  /** "chat", "text_completion", ... for metrics, spans and logs */
  readonly operation: string;
  readonly requestId: string;
  /** a further answer of a request that has been let in already: the queue's bound and time limit are not asked again */
  readonly follows?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** What a request for vectors asks of it. */
export interface EmbedAsk extends Omit<Ask, "prompt" | "options" | "fields" | "follows"> {
  readonly texts: readonly (string | readonly number[])[];
  readonly dimensions?: number | undefined;
}
