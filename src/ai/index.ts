/**
 * `ternion/ai`: a provider of the AI SDK that answers in this process, without a server. It stands on the public API of the
 * library alone, and needs no package of the AI SDK.
 */
export { TernionLanguageModel } from "./model.js";
export { createTernion, type TernionOptions, type TernionProvider } from "./provider.js";
export type { TernionCallOptions } from "./settings.js";
export type * from "./specification.js";
