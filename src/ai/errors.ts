/**
 * Errors of the AI SDK, which knows them by marks and not by class: `NoSuchModelError.isInstance(error)` of any of its
 * versions is true for these, and none of its packages is needed to make them.
 */
export type ModelType =
  | "languageModel"
  | "embeddingModel"
  | "imageModel"
  | "transcriptionModel"
  | "speechModel"
  | "rerankingModel";

export function noSuchModel(modelType: ModelType, modelId: string): Error {
  const message = `ternion: no ${modelType} "${modelId}": expected languageModel, the only kind that ternion has.`;
  return marked("AI_NoSuchModelError", message, { modelType, modelId });
}

/** `functionality` is what was asked for; `message` says where, and what to do. */
export function unsupported(functionality: string, message: string): Error {
  return marked("AI_UnsupportedFunctionalityError", message, { functionality });
}

function marked(name: string, message: string, fields: Readonly<Record<string, string>>): Error {
  return Object.assign(new Error(message), {
    ...fields,
    name,
    [Symbol.for("vercel.ai.error")]: true,
    [Symbol.for(`vercel.ai.error.${name}`)]: true,
  });
}
