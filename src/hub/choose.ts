/**
 * Which files of a repository make a model: a GGUF of the type that runs fastest here, with all its parts; where there is no
 * GGUF, what a directory of Hugging Face needs. Where it cannot be said, an error that lists what there is.
 */
import { lastName, printable, TernionError } from "../errors.js";
import { partName } from "../gguf/split.js";
import { formatName, type HubName } from "./names.js";
import type { Repository, RepositoryFile } from "./repository.js";

export interface Choice {
  /** the GGUF, or the first part of one; undefined: the files are a directory */
  readonly file?: string | undefined;
  readonly files: readonly RepositoryFile[];
}

/** As file names have them, the fastest first. */
const TERNARY = ["i2_s", "tq2_0", "tq1_0", "q2_0", "q2_0_g64", "pq2_0"];

export function chooseFiles({ files }: Repository, name: HubName): Choice {
  const models = new Map<string, RepositoryFile[]>();
  for (const file of files) {
    if (!/\.gguf$/i.test(file.path) || /^(?:mmproj|.*imatrix)/i.test(lastName(file.path))) continue;
    const first = partName(file.path, 1) ?? file.path;
    models.set(first, [...(models.get(first) ?? []), file]);
  }
  if (name.file !== undefined) return named(models, files, name);
  if (models.size === 0) return directory(files, name);
  const paths = [...models.keys()];
  const [best] = TERNARY.map((type) => paths.filter((path) => isOfType(path, type))).filter(({ length }) => length > 0);
  const [file, ...more] = best ?? paths;
  if (more.length > 0) throw several(models, name);
  return { file, files: models.get(file) as RepositoryFile[] };
}

/** Whether the file's name says so, as in "ggml-model-i2_s.gguf". */
function isOfType(path: string, type: string): boolean {
  return new RegExp(`(?:^|[^a-z\\d])${type}(?![a-z\\d_])`, "i").test(lastName(path));
}

function named(
  models: ReadonlyMap<string, RepositoryFile[]>,
  all: readonly RepositoryFile[],
  name: Required<HubName> | HubName,
): Choice {
  const file = partName(name.file as string, 1) ?? (name.file as string);
  const files = models.get(file) ?? all.filter(({ path }) => path === file);
  if (files.length > 0) return { file, files };
  const found = models.size === 0 ? "no GGUF" : listed(models);
  throw new TernionError(
    "MODEL_DOWNLOAD",
    `${formatName(name)}: expected a file of the repository, got ${printable(file, 200)}, which it does not have. ` +
      `It has ${found}.`,
  );
}

function several(models: ReadonlyMap<string, RepositoryFile[]>, name: HubName): TernionError {
  const [first] = models.keys();
  return new TernionError(
    "MODEL_DOWNLOAD",
    `${formatName(name)}: expected one GGUF, or one of the fastest ternary type, got ${listed(models)}. ` +
      `Name one, as in ${printable(formatName({ ...name, file: first }), 300)}.`,
  );
}

const MOST_LISTED = 24;

function listed(models: ReadonlyMap<string, RepositoryFile[]>): string {
  const shown = [...models].slice(0, MOST_LISTED).map(([path, parts]) => {
    return `${printable(path, 200)} (${megabytes(parts)} MB)`;
  });
  const left = models.size - shown.length;
  return `${shown.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
}

const megabytes = (files: readonly RepositoryFile[]) =>
  (files.reduce((sum, { size }) => sum + size, 0) / 1e6).toFixed(1);

/** Files beside the weights that a directory is loaded with. None of them lies in a folder. */
const BESIDE =
  /^(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^tokenizer\.model$|^merges\.txt$|^chat_template\.jinja$/;
const INDEX = "model.safetensors.index.json";
const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

function directory(files: readonly RepositoryFile[], name: HubName): Choice {
  const has = (wanted: string) => files.some(({ path }) => path === wanted);
  const weights = has(INDEX) ? SHARD : has("model.safetensors") ? /^model\.safetensors$/ : /^[\w.-]+\.safetensors$/;
  const taken = files.filter(({ path }) => weights.test(path) || BESIDE.test(path) || path === INDEX);
  if (has("config.json") && taken.some(({ path }) => weights.test(path))) return { files: taken };
  const shown = files.slice(0, MOST_LISTED).map(({ path }) => printable(path, 100));
  throw new TernionError(
    "MODEL_DOWNLOAD",
    `${formatName(name)}: expected a GGUF, or config.json with safetensors, got ${shown.join(", ") || "no files"}` +
      `${files.length > shown.length ? ` and ${files.length - shown.length} more` : ""}. Take another repository.`,
  );
}
