/**
 * The language model interface of the AI SDK, in its versions 3 (AI SDK 6) and 4 (AI SDK 7), as far as text and tools go:
 * types of our own, so that those who compile against `ternion/ai` need no package of the AI SDK. test/ai/text.test.ts and
 * test/package/ai-sdk.ts hold them to the types of `@ai-sdk/provider`. What comes in is as wide as both versions together,
 * what goes out as narrow.
 */

/** "v3" is what AI SDK 6 asks for and AI SDK 7 takes as well; "v4" is AI SDK 7's own. */
export type SpecificationVersion = "v3" | "v4";

/** Plain data, as JSON has it. */
export type JsonValue = null | string | number | boolean | JsonValue[] | { [key: string]: JsonValue | undefined };
/** An object of plain data. */
export type JsonObject = { [key: string]: JsonValue | undefined };

/** By the name of a provider; ours is "ternion". */
export type ProviderOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
/** What this provider reports beside the standard fields, under "ternion". */
export type ProviderMetadata = Record<string, JsonObject>;

/** Text in a message. */
export interface TextPart {
  readonly type: "text";
  readonly text: string;
}
/** A file in a message; read only where it came as text. */
export interface FilePart {
  readonly type: "file" | "reasoning-file";
  readonly mediaType: string;
  readonly filename?: string | undefined;
  readonly data: unknown;
}
/** What a model thought before it answered. */
export interface ReasoningPart {
  readonly type: "reasoning";
  readonly text: string;
}
/** Something of another provider; refused. */
export interface CustomPart {
  readonly type: "custom";
  readonly kind: string;
}
/** A call that the model made. */
export interface ToolCallPart {
  readonly type: "tool-call";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: unknown;
}
/** What came of a call. */
export interface ToolResultPart {
  readonly type: "tool-result";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly output: ToolResultOutput;
}
/** An answer to an approval request; refused, since this provider executes no tools. */
export interface ToolApprovalPart {
  readonly type: "tool-approval-response";
  readonly approvalId: string;
}

/** The result itself. */
export type ToolResultOutput =
  | { readonly type: "text" | "error-text"; readonly value: string }
  | { readonly type: "json" | "error-json"; readonly value: unknown }
  | { readonly type: "execution-denied"; readonly reason?: string | undefined }
  | { readonly type: "content"; readonly value: readonly ToolResultContent[] };
/** A part of a result; only text is taken. */
export type ToolResultContent = TextPart | { readonly type: string; readonly text?: never };

/** A message of a prompt. */
export type PromptMessage =
  | { readonly role: "system"; readonly content: string }
  | { readonly role: "user"; readonly content: readonly (TextPart | FilePart)[] }
  | { readonly role: "assistant"; readonly content: readonly AssistantPart[] }
  | { readonly role: "tool"; readonly content: readonly (ToolResultPart | ToolApprovalPart)[] };
/** A part of an assistant's message. */
export type AssistantPart = TextPart | FilePart | ReasoningPart | CustomPart | ToolCallPart | ToolResultPart;

/** A tool that the caller executes. */
export interface FunctionTool {
  readonly type: "function";
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON schema of the arguments */
  readonly inputSchema: object;
  readonly inputExamples?: readonly unknown[] | undefined;
  readonly strict?: boolean | undefined;
}
/** A tool that a provider has itself; this one has none. */
export interface ProviderTool {
  readonly type: "provider";
  readonly id: string;
  readonly name: string;
}

/** Options of one call, which `generateText` and the others of the AI SDK make of theirs. */
export interface CallOptions {
  readonly prompt: readonly PromptMessage[];
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly stopSequences?: readonly string[] | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly responseFormat?:
    | { readonly type: "text" }
    | {
        readonly type: "json";
        readonly schema?: object | undefined;
        readonly name?: string | undefined;
        readonly description?: string | undefined;
      }
    | undefined;
  readonly seed?: number | undefined;
  readonly tools?: readonly (FunctionTool | ProviderTool)[] | undefined;
  readonly toolChoice?:
    | { readonly type: "auto" | "none" | "required" }
    | { readonly type: "tool"; readonly toolName: string }
    | undefined;
  /** version 4: how much the model thinks before it answers */
  readonly reasoning?: string | undefined;
  readonly includeRawChunks?: boolean | undefined;
  readonly abortSignal?: AbortSignal | undefined;
  readonly providerOptions?: ProviderOptions | undefined;
}

/** A setting that is not, or not fully, honoured. */
export type Warning =
  | { type: "unsupported" | "compatibility"; feature: string; details?: string }
  | { type: "other"; message: string };

/** Why an answer ended. */
export interface ResultFinishReason {
  unified: "stop" | "length" | "tool-calls" | "error" | "other";
  /** as the library calls it */
  raw: string | undefined;
}

/** Tokens that an answer took. */
export interface Usage {
  inputTokens: {
    total: number | undefined;
    noCache: number | undefined;
    cacheRead: number | undefined;
    cacheWrite: number | undefined;
  };
  outputTokens: { total: number | undefined; text: number | undefined; reasoning: number | undefined };
}

/** Text of an answer. */
export interface TextContent {
  type: "text";
  text: string;
}
/** A call in an answer. */
export interface ToolCallContent {
  type: "tool-call";
  toolCallId: string;
  toolName: string;
  /** JSON text of the arguments */
  input: string;
}

/** Which answer this is, and of which model. */
export interface ResponseMetadata {
  id: string;
  timestamp: Date;
  modelId: string;
}

/** A whole answer. */
export interface GenerateResult {
  content: (TextContent | ToolCallContent)[];
  finishReason: ResultFinishReason;
  usage: Usage;
  providerMetadata: ProviderMetadata;
  response: ResponseMetadata;
  warnings: Warning[];
}

/** The last part of a stream. */
export interface FinishPart {
  type: "finish";
  usage: Usage;
  finishReason: ResultFinishReason;
  providerMetadata?: ProviderMetadata;
}

/** A part of a stream, in the order of the specification. */
export type StreamPart =
  | { type: "stream-start"; warnings: Warning[] }
  | ({ type: "response-metadata" } & ResponseMetadata)
  | { type: "text-start"; id: string }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "text-end"; id: string }
  | { type: "tool-input-start"; id: string; toolName: string }
  | { type: "tool-input-delta"; id: string; delta: string }
  | { type: "tool-input-end"; id: string }
  | ToolCallContent
  | { type: "raw"; rawValue: unknown }
  | { type: "error"; error: unknown }
  | FinishPart;

/** An answer as it is made. */
export interface StreamResult {
  stream: ReadableStream<StreamPart>;
}

declare global {
  // in the types of Node.js and in TypeScript's library "DOM", and merges with them; a project may have neither
  interface ReadableStream<R> {
    readonly locked: boolean;
  }
}
