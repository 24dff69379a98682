/**
 * Names of models: `hf:ORG/REPO[@REVISION][:FILE]` for what is on Hugging Face, and short names for those that are best
 * known. Parsed strictly: what comes out of here makes addresses and is shown, and no part of it is a path on this machine.
 */
import { quote } from "../errors.js";
import { type Address, addressOf } from "./address.js";

/** A model on Hugging Face. */
export interface HubName {
  /** "ORG/REPO" */
  readonly repository: string;
  /** branch, tag or commit */
  readonly revision: string;
  /** path of a GGUF in the repository; undefined: what the repository is best run from */
  readonly file?: string | undefined;
}

/** A model with a short name. */
export interface KnownModel {
  readonly name: string;
  /** what the short name stands for */
  readonly model: string;
  readonly description: string;
}

const known = (name: string, model: string, description: string): KnownModel => ({ name, model, description });

/** Short names. Without a file the repository is asked which it has: the ternary one is taken. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  known("bitnet-2b", "hf:microsoft/bitnet-b1.58-2B-4T-gguf:ggml-model-i2_s.gguf", "BitNet b1.58 2B-4T, chat, 1.2 GB"),
  known("bonsai-1.7b", "hf:prism-ml/Ternary-Bonsai-1.7B-gguf", "Ternary Bonsai 1.7B (qwen3), chat"),
  known("bonsai-4b", "hf:prism-ml/Ternary-Bonsai-4B-gguf", "Ternary Bonsai 4B (qwen3), chat"),
  known(
    "bonsai-8b",
    "hf:prism-ml/Ternary-Bonsai-8B-gguf:Ternary-Bonsai-8B-Q2_0.gguf",
    "Ternary Bonsai 8B (qwen3), chat, 2.2 GB",
  ),
  known("falcon3-1b", "hf:tiiuae/Falcon3-1B-Instruct-1.58bit-GGUF", "Falcon3 1B 1.58bit (llama), chat"),
  known("falcon3-3b", "hf:tiiuae/Falcon3-3B-Instruct-1.58bit-GGUF", "Falcon3 3B 1.58bit (llama), chat"),
  known("falcon3-7b", "hf:tiiuae/Falcon3-7B-Instruct-1.58bit-GGUF", "Falcon3 7B 1.58bit (llama), chat"),
  known("falcon3-10b", "hf:tiiuae/Falcon3-10B-Instruct-1.58bit-GGUF", "Falcon3 10B 1.58bit (llama), chat"),
  known("falcon-e-1b", "hf:tiiuae/Falcon-E-1B-Instruct-GGUF:ggml-model-i2_s.gguf", "Falcon-E 1B (llama), chat"),
  known("falcon-e-3b", "hf:tiiuae/Falcon-E-3B-Instruct-GGUF:ggml-model-i2_s.gguf", "Falcon-E 3B (llama), chat"),
  known("llama3-8b", "hf:brunopio/Llama3-8B-1.58-100B-tokens-GGUF", "Llama3 8B 1.58 100B tokens (llama)"),
  known(
    "tinyllama",
    "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:tinyllama-1.1b-chat-v1.0.Q8_0.gguf",
    "TinyLlama 1.1B (llama), not ternary: Q8_0, chat, 1.2 GB",
  ),
];

export const knownModel = (name: string) => KNOWN_MODELS.find((each) => each.name === name);

export const isHubName = (text: string) => text.startsWith("hf:");

const FORM = /^(?:hf:)?([^/:@]+\/[^/:@]+)(?:@([^:]+))?(?::(.+))?$/su;
/** Of an organisation or a repository: what Hugging Face lets them be. */
const PART = /^[A-Za-z\d_](?!.*(?:\.\.|--))[\w.-]{0,95}$/;
const REVISION = /^[\w.][\w./-]{0,199}$/;

/** A short name or `[hf:]ORG/REPO[@REVISION][:FILE]`. Throws a RangeError for any other text. */
export function parseName(text: string): HubName {
  const [, repository, revision = "main", file] = FORM.exec(knownModel(text)?.model ?? text) ?? [];
  if (repository?.split("/").every((part) => PART.test(part)) && isPath(revision) && REVISION.test(revision)) {
    if (file === undefined) return { repository, revision };
    if (isPath(file) && /\.gguf$/i.test(file)) return { repository, revision, file };
    throw new RangeError(`model name: expected a file that ends in .gguf, got ${quote(file, 200)}`);
  }
  const names = KNOWN_MODELS.map(({ name }) => name).join(", ");
  throw new RangeError(
    `model name: expected hf:ORG/REPO[@REVISION][:FILE] or one of ${names}, got ${quote(text, 200)}`,
  );
}

/** Whether it leads downwards, by names alone. */
export function isPath(text: string): boolean {
  return !/[\\\p{Cc}]/u.test(text) && text.split("/").every((part) => !/^\.{0,2}$/.test(part));
}

export function formatName({ repository, revision, file }: HubName): string {
  return `hf:${repository}${revision === "main" ? "" : `@${revision}`}${file === undefined ? "" : `:${file}`}`;
}

const HUB = "https://huggingface.co";

/** The page of the repository: what errors about it name. */
export const pageOf = ({ repository }: Pick<HubName, "repository">) => new URL(`${HUB}/${repository}`);

/** The address of a file; its bytes are asked for at `commit`, so that files of one model belong together. */
export function fileAddress(name: HubName, file: string, commit?: string): Address {
  const address = addressOf(fileUrl(name, file));
  if (commit === undefined) return address;
  return { ...address, source: addressOf(fileUrl({ ...name, revision: commit }, file)).source };
}

function fileUrl({ repository, revision }: HubName, file: string): URL {
  const path = file.split("/").map(encodeURIComponent).join("/");
  return new URL(`${HUB}/${repository}/resolve/${encodeURIComponent(revision)}/${path}`);
}
