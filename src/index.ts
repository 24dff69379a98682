/** The public API. */
export type { OpTime, TernaryLayout } from "./backend/backend.js";
export { type Diagnosis, type DoctorOptions, diagnose } from "./doctor/doctor.js";
export type { SelfTest } from "./doctor/self-test.js";
export { type DownloadOptions, download } from "./download.js";
export type { LoadReport, LoadStep, ProgressEvent } from "./engine/load-report.js";
export type { BackendName, EngineOptions } from "./engine/options.js";
export { Engine, type TracedTensor } from "./engine.js";
export { type ErrorCode, TernionError } from "./errors.js";
export { collect, type Finish, type FinishReason, type GenerateOptions, type Piece } from "./generate.js";
export { type GgufArray, type GgufFile, type GgufTensor, type GgufValue, readGguf } from "./gguf/gguf.js";
export type { Machine } from "./machine.js";
export type { ModelConfig } from "./model/config.js";
export { type Repair, repairMetadata } from "./model/repair.js";
export { type Perplexity, type PerplexityOptions, perplexity, type Scorer } from "./perplexity.js";
export type { SamplingOptions, TokenLogprob } from "./sampler.js";
export type { Session } from "./session.js";
export { BITNET_CHAT_TEMPLATE, type ChatMessage, type ChatOptions, renderChat } from "./text/chat.js";
export { createTokenizer, type EncodeOptions, type Tokenizer } from "./text/tokenizer.js";
