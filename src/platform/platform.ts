/**
 * What the engine needs of the machine that it runs on, so that the parts which run everywhere name no host: they are given
 * what they need of this. Types only; `node.ts` is the one implementation so far.
 */

/** Resolves in a later turn of the event loop: what is ready by now (messages, timers, input) comes first. */
export type NextTurn = () => Promise<void>;

export interface TemplateJob {
  readonly template: string;
  /** absent: list the literals only */
  readonly render?: { readonly variables: Readonly<Record<string, unknown>>; readonly literals?: readonly string[] };
  readonly timeoutMs: number;
}

export interface TemplateFailure {
  readonly failed: "syntax" | "raised" | "render" | "size";
  readonly message: string;
  /** source of what was not understood */
  readonly construct?: string;
}

export type TemplateAnswer = { readonly literals: readonly string[] } | { readonly text: string } | TemplateFailure;

/** Renders chat templates of model files apart from this thread, so that one that never ends harms nobody. */
export interface TemplateRunner {
  /** Rejects with CHAT_TEMPLATE where there is no answer in time, and with the reason of `signal`. */
  run(job: TemplateJob, signal?: AbortSignal): Promise<TemplateAnswer>;
  /** Jobs that wait reject with CLOSED. */
  close(): void;
}

/** The bytes of a `ByteSource` on another thread, which may wait for them. */
export interface ThreadBytes {
  /** as `ByteSource.read` */
  read(offset: number, into: Uint8Array): void;
  close(): void;
}

export interface Platform {
  readonly nextTurn: NextTurn;
  templateRunner(): TemplateRunner;
}
