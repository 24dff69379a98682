/**
 * What goes wrong with a request, as its client sees it: a status, words, and the fields of OpenAI's error object. Anything
 * thrown becomes one; of what nobody foresaw the client learns nothing but that it happened.
 */
import type { FastifyReply } from "fastify";
import { type ErrorCode, TernionError } from "../errors.js";

/** What an ApiError says beside its status and its words. */
export interface ErrorDetails {
  /** the field at fault, as in "messages[0].content" */
  readonly param?: string | undefined;
  readonly code?: string | undefined;
  /** default: what OpenAI's API has for the status */
  readonly type?: string | undefined;
  /** seconds after which another try makes sense */
  readonly retryAfter?: number | undefined;
  /** false: another try costs as much and ends alike; official clients heed it */
  readonly shouldRetry?: boolean | undefined;
  readonly cause?: unknown;
}

/** An error as clients see it: thrown by a handler, it is answered with its status, in the form of the API. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | undefined;
  readonly code: string | undefined;
  readonly type: string;
  readonly retryAfter: number | undefined;
  readonly shouldRetry: boolean | undefined;

  constructor(
    readonly statusCode: number,
    message: string,
    { param, code, type, retryAfter, shouldRetry, cause }: ErrorDetails = {},
  ) {
    super(message, { cause });
    this.param = param;
    this.code = code;
    this.type = type ?? typeOf(statusCode);
    this.retryAfter = retryAfter;
    this.shouldRetry = shouldRetry;
  }
}

/** The client went away: nobody reads what is answered. */
export class ClientGone extends ApiError {
  constructor() {
    super(499, "The client closed the connection.");
  }
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 429) return "requests";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** "messages[0].content: expected text, got number 5" */
export function wrongField(param: string, problem: string, code = "invalid_value"): ApiError {
  return new ApiError(400, `${param}: ${problem}`, { param, code });
}

/** A field that is known, and asks for what there is not. */
export function refusedField(param: string, reason: string): ApiError {
  return new ApiError(400, `${param}: not supported. ${reason}`, { param, code: "unsupported_parameter" });
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export function openaiErrorBody({ message, type, param, code }: ApiError): ErrorBody {
  return { error: { message, type, param: param ?? null, code: code ?? null } };
}

/** Headers that go with the status. */
export function setErrorHeaders(reply: FastifyReply, { retryAfter, shouldRetry }: ApiError): void {
  if (retryAfter !== undefined) reply.header("retry-after", String(Math.ceil(retryAfter)));
  if (shouldRetry !== undefined) reply.header("x-should-retry", String(shouldRetry));
}

export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TernionError) return ofLibrary(error);
  if (isWrongValue(error)) return wrongValue(error);
  const { statusCode = 500, message, code } = Object(error) as { statusCode?: number; message?: string; code?: string };
  const known = statusCode >= 400 && statusCode < 500 && typeof message === "string"; // fastify's own: broken JSON, too large
  return known ? new ApiError(statusCode, message, { code: codeOfFramework(code), cause: error }) : internal(error);
}

const internal = (cause: unknown) =>
  new ApiError(500, "The server had an error while it processed the request.", { cause });

const codeOfFramework = (code: string | undefined) => code?.replace(/^FST_ERR_(CTP_)?/, "").toLowerCase();

/** Seconds: of the two that pass by themselves. */
const RETRY_BUSY = 1;
const RETRY_UNAVAILABLE = 5;

const BUSY_CODES: readonly ErrorCode[] = ["BUSY"];
/** After one of them an engine answers nothing more. */
const ENDED_CODES: readonly ErrorCode[] = ["CLOSED", "DEVICE_LOST", "BACKEND_FAILED"];
const UNAVAILABLE_CODES: readonly ErrorCode[] = [...ENDED_CODES, "BACKEND_UNAVAILABLE", "OUT_OF_MEMORY"];

export const hasEnded = (error: unknown) => error instanceof TernionError && ENDED_CODES.includes(error.code);

function ofLibrary(error: TernionError): ApiError {
  const { code, message } = error;
  if (code === "CONTEXT_OVERFLOW") return tooLong(error);
  if (code === "CHAT_TEMPLATE") return new ApiError(400, message, { param: "messages", code: "chat_template" });
  if (code === "TOKENIZER") return new ApiError(400, message, { param: "tokens", code: "invalid_value" });
  if (code === "MODEL_KEY")
    return new ApiError(400, message, { param: "model", code: "unsupported_model", cause: error });
  if (code === "GRAMMAR") return wrongShape(error);
  if (code === "PACKAGE_MISSING") return new ApiError(501, "This server lacks a package for it.", { cause: error });
  if (BUSY_CODES.includes(code)) return busy(error);
  if (UNAVAILABLE_CODES.includes(code)) return unavailable("The model is not available now.", error);
  return internal(error);
}

export function busy(cause?: unknown): ApiError {
  return new ApiError(429, "Too many requests wait already. Try again later.", {
    code: "rate_limit_exceeded",
    retryAfter: RETRY_BUSY,
    cause,
  });
}

export function unavailable(message: string, cause?: unknown): ApiError {
  return new ApiError(503, message, { code: "service_unavailable", retryAfter: RETRY_UNAVAILABLE, cause });
}

function tooLong(cause: TernionError): ApiError {
  const [, most, got] = /at most (\d+) tokens, got (\d+)/.exec(cause.message) ?? [];
  const message =
    `This model's maximum context length is ${most} tokens. However, your prompt resulted in ${got} tokens. ` +
    "Please reduce its length.";
  return new ApiError(400, message, { code: "context_length_exceeded", cause });
}

/** Where in a body the schemas stand that the library has as options. */
export interface FieldNames {
  /** of the answer */
  readonly schema: string;
  /** of the arguments of a tool, by its place in the options */
  tool(index: number): string;
}

/** The same error with the names of the body, where it is about a schema. */
export function namedInBody(error: unknown, fields: FieldNames | undefined): unknown {
  const isShape = error instanceof TernionError && error.code === "GRAMMAR";
  if (fields === undefined || (!isShape && !isWrongValue(error))) return error;
  const { schema, tool } = fields;
  const message = error.message
    .replace(/^schema(?=[.[:])/, schema)
    .replace(/^tools\[(\d+)\]\.parameters/, (_, index) => tool(Number(index)));
  return message === error.message
    ? error
    : new ApiError(400, message, { ...WRONG, param: pathIn(message), cause: error });
}

const WRONG = { code: "invalid_value" };

/** 'schema.properties["first name"].not' of a message that begins with it */
const pathIn = (message: string) => /^(?:[^\s:["]|\["(?:[^"\\]|\\.)*"\]|\[\d+\])+/.exec(message)?.[0];

/** "regex: ...", or of EBNF "grammar: ..." and "rule NAME: ..." */
function wrongShape(cause: TernionError): ApiError {
  const path = pathIn(cause.message);
  return new ApiError(400, cause.message, { ...WRONG, param: path === "rule" ? "grammar" : path, cause });
}

/** The library names the option that is wrong and what it expected. */
const WRONG_VALUE = /^([a-zA-Z][\w.[\]]*)(?: id)?: expected /;

function isWrongValue(error: unknown): error is Error {
  return (error instanceof RangeError || error instanceof TypeError) && WRONG_VALUE.test(error.message);
}

/** Names of options → of fields. */
const FIELDS: Readonly<Record<string, string>> = {
  maxTokens: "max_tokens",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
  repetitionWindow: "repetition_window",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  logitBias: "logit_bias",
  logprobs: "top_logprobs",
  ignoreEnd: "ignore_eos",
  schema: "response_format",
  toolChoice: "tool_choice",
  parallelToolCalls: "parallel_tool_calls",
  texts: "input",
};

function wrongValue(error: Error): ApiError {
  const named = new RegExp(`^(?:${Object.keys(FIELDS).join("|")})\\b`);
  const message = error.message.replace(named, (name) => FIELDS[name]);
  return new ApiError(400, message, { param: WRONG_VALUE.exec(message)?.[1], cause: error });
}
