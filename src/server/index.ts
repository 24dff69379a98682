/** `ternion/server`: the API of OpenAI and others over models of this library, as a plugin of fastify and as a server. */
export type { Ask, EmbedAsk, Prompt } from "./ask.js";
export { ApiError, type ErrorDetails, type FieldNames } from "./errors.js";
export type { Asked, Observer, Outcome, Rejection } from "./observer.js";
export type { ModelEntry, ServerOptions, ServiceOptions } from "./options.js";
export { type PluginOptions, ternion } from "./plugin.js";
export { Service } from "./service.js";
export { type RunningServer, startServer } from "./start.js";
