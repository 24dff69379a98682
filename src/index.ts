/// <reference lib="esnext.disposable" preserve="true" />
/** The public API. Its types name nothing of Node.js or WebGPU; see test/package/installed.ts. */
export type { Activation, ByteSource, CacheType, OpTime, RopePairs, TernaryLayout } from "./backend/backend.js";
export type { TokenIds } from "./check.js";
export type { Embeddings, EmbedOptions } from "./engine/embed.js";
export { Engine } from "./engine/engine.js";
export { type ModelBytes, type ModelInput, readGguf } from "./engine/input.js";
export type { LoadReport, LoadStep, ProgressEvent } from "./engine/load-report.js";
export { modelSummary, type OpenOptions, openHead } from "./engine/open.js";
export type { BackendName, EngineOptions, SessionOptions, Tuning } from "./engine/options.js";
export type { SelfCheck, SelfCheckOptions } from "./engine/self-check.js";
export { createTokenizer, renderChat } from "./engine/text.js";
export type { TracedTensor, TraceOptions } from "./engine/trace.js";
export { type ErrorCode, TernionError } from "./errors.js";
export type { GgufArray, GgufFile, GgufHead, GgufTensor, GgufValue } from "./gguf/file.js";
export type { Metadata } from "./gguf/metadata.js";
export type { ReadOptions } from "./gguf/read.js";
export type { NumericArray, NumericType } from "./gguf/types.js";
export type { DownloadOptions } from "./hub/copies.js";
export { type PulledModel, pullModel, type RepositoryView, viewRepository } from "./hub/named.js";
export { KNOWN_MODELS, type KnownModel } from "./hub/names.js";
export { download } from "./hub/pull.js";
export { httpBytes, type RangeOptions } from "./hub/range.js";
export type { Repository, RepositoryFile } from "./hub/repository.js";
export { type CachedModel, cachedModel, cachedModels, removeModel, type StoreOptions } from "./hub/store.js";
export type { ModelConfig, Pooling } from "./model/config.js";
export type { Repair } from "./model/family.js";
export type { OpenHead } from "./model/open.js";
export { repairMetadata } from "./model/repair.js";
export type { ModelSummary } from "./model/summary.js";
export type { Machine } from "./platform/machine.js";
export { boxModel } from "./platform/package.js";
export type { ChatPromptOptions } from "./run/chat.js";
export {
  type Collected,
  collect,
  type Finish,
  type FinishReason,
  type GenerateOptions,
  joinToolCall,
  type Piece,
  type ToolCall,
} from "./run/generate.js";
export { type Perplexity, type PerplexityOptions, perplexity, type Scorer } from "./run/perplexity.js";
export type { CacheUse } from "./run/places.js";
export type { PromptLogprob } from "./run/score.js";
export type { ScoreOptions, Session, SessionChatOptions } from "./run/session.js";
export type { SamplingOptions, TokenLogprob } from "./sampling/sampler.js";
export type { Tool, ToolCallPart, ToolChoice, ToolOptions } from "./text/calls/tool.js";
export {
  BITNET_CHAT_TEMPLATE,
  type ChatMessage,
  type ChatOptions,
  type TemplateOptions,
} from "./text/chat.js";
export type {
  DecodeOptions,
  EncodeAsyncOptions,
  EncodeOptions,
  PromptPart,
  Tokenizer,
} from "./text/tokenizer.js";
export {
  CONVERT_TYPES,
  type ConvertedFile,
  type ConvertOptions,
  type ConvertType,
  convertFile,
} from "./tools/convert/convert.js";
export { type QuantizedFile, type QuantizeOptions, quantizeFile } from "./tools/convert/quantize.js";
export type { RewriteOptions, RewrittenFile } from "./tools/convert/rewrite.js";
export type { CpuFindings, CpuQuestion } from "./tools/doctor/cpu.js";
export { type Diagnosis, type DoctorOptions, diagnose } from "./tools/doctor/doctor.js";
export type { GpuFindings } from "./tools/doctor/gpu.js";
export type { SelfTest } from "./tools/doctor/self-test.js";
export { type RepairedFile, type RepairOptions, repairFile } from "./tools/repair/repair.js";
export { renderHtml } from "./tools/report/html.js";
export { renderMarkdown } from "./tools/report/markdown.js";
export { measureReport, type ReportData, type ReportOptions, type ReportStage } from "./tools/report/measure.js";
export type { PromptResult } from "./tools/report/prompts.js";
export type { SpeedPoint } from "./tools/report/speeds.js";
export type { Traffic } from "./tools/report/traffic.js";
export type { ReportVerdict } from "./tools/report/verdict.js";
export type { Agreement, Fingerprint } from "./tools/verify/agreement.js";
export type { OpVerdict } from "./tools/verify/judge.js";
export { type Verdict, type VerifyOptions, verify } from "./tools/verify/verify.js";
export type { Fault } from "./tools/verify/walk.js";

declare global {
  // both are in the types of Node.js and in TypeScript's library "DOM", and merge with them; a project may have neither
  interface AbortSignal {
    readonly aborted: boolean;
  }
  interface URL {
    href: string;
  }
  interface Blob {
    readonly size: number;
  }
}
