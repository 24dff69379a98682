/**
 * Messages of the library name its options and calls. Who reads them here knows flags: one table for all of them.
 */

/** Names that are no English words: replaced wherever they stand. */
const NAMES: Readonly<Record<string, string>> = {
  contextLength: "--ctx",
  batchSize: "--batch-size",
  i2sLayout: "--i2s-layout",
  maxTokens: "--max-tokens",
  topK: "--top-k",
  topP: "--top-p",
  minP: "--min-p",
  repetitionPenalty: "--repetition-penalty",
  presencePenalty: "--presence-penalty",
  frequencyPenalty: "--frequency-penalty",
  logitBias: "--logit-bias",
  endToEnd: "--end-to-end",
};

/** The others: replaced where a message begins with one, as in `threads: expected`. */
const SUBJECTS =
  /^(?:tuning\.)?(model|threads|backend|adapter|kernel|kv|head|window|seed|stop|temperature|tokens|against|schema|grammar|regex)(?=(?:\[\d+\])?: expected)/;

const SENTENCES: readonly (readonly [library: RegExp, commandLine: string])[] = [
  [/^ids(?=(?:\[\d+\])?: expected)/, "--tokens"],
  [/\bload (?:the model )?with a larger contextLength/gi, "give a larger --ctx"],
  [/\bset overflow to "shift"/g, "let `ternion run --overflow shift` cut it"],
  [/\bstrict is set\b/g, "--strict is set"],
  [/\bLoad it without strict\b/g, "Leave --strict out"],
  [/\bor force to replace it\b/g, "or --force to replace it"],
  [/\bUse generate\(\) with a prompt/g, "Use `ternion run` without --chat, with a prompt"],
  [/\bEncode with addBos: false\b/g, "Give --no-bos"],
  [/\bLoad the model again\b/g, "Start again"],
];

export function withFlags(message: string): string {
  let text = message.replace(SUBJECTS, "--$1");
  for (const [library, commandLine] of SENTENCES) text = text.replace(library, commandLine);
  return text.replace(new RegExp(`\\b(?:${Object.keys(NAMES).join("|")})\\b`, "g"), (name) => NAMES[name]);
}
