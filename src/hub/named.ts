/**
 * Names of models → their copies in the cache. One that is here is used without asking anybody; `pullModel` asks what the
 * repository has by now, and fetches what is new. A repository without a GGUF becomes a folder of its files.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as check from "../check.js";
import { cacheName } from "./address.js";
import { chooseFiles } from "./choose.js";
import { DOWNLOAD_CHECKS, type DownloadOptions, fetchFile, findModel, folderOf, found, pathOf } from "./copies.js";
import { fileAddress, formatName, type HubName, parseName } from "./names.js";
import { type ModelRecord, readRecord, readRecords, writeRecord } from "./records.js";
import { type Repository, type RepositoryFile, readRepository } from "./repository.js";
import { isExpected } from "./transfer.js";

/** What `pullModel` brought. */
export interface PulledModel {
  /** by which it is loaded */
  readonly name: string;
  /** of the GGUF, of a split one of its first part, or of a folder */
  readonly path: string;
  /** of all its files */
  readonly bytes: number;
  readonly commit: string;
  /** false where the copy was that of the commit already */
  readonly isNew: boolean;
}

/** The path of the named model: of its copy if that is whole, else of what comes. */
export async function fetchNamed(name: HubName, options: DownloadOptions): Promise<string> {
  options.signal?.throwIfAborted();
  return (await findNamed(name, options)) ?? (await pull(name, options)).path;
}

/**
 * Brings the model of a short name, or of "[hf:]ORG/REPO[@REVISION][:FILE]", to what the repository has now. Rejects with
 * MODEL_DOWNLOAD, and with the reason of `signal`.
 */
export async function pullModel(name: string, given: DownloadOptions = {}): Promise<PulledModel> {
  const options = check.options(given, DOWNLOAD_CHECKS);
  options.signal?.throwIfAborted();
  return pull(parseName(check.filled("model name", name)), options);
}

/** What a repository holds, and what of it `pullModel` would take. */
export interface RepositoryView extends Repository {
  readonly name: string;
  /** paths of the files; none where one must be named */
  readonly chosen: readonly string[];
}

/** Asks Hugging Face what is there under a name, and fetches nothing. */
export async function viewRepository(name: string, given: DownloadOptions = {}): Promise<RepositoryView> {
  const options = check.options(given, DOWNLOAD_CHECKS);
  const parsed = parseName(check.filled("model name", name));
  const repository = await readRepository(parsed, options);
  let chosen: readonly RepositoryFile[] = [];
  try {
    chosen = chooseFiles(repository, parsed).files;
  } catch {} // the list says it all
  return { ...repository, name: formatName(parsed), chosen: chosen.map(({ path }) => path) };
}

async function findNamed(name: HubName, options: DownloadOptions): Promise<string | undefined> {
  if (name.file !== undefined) return findModel(fileAddress(name, name.file), options);
  for (const [path, record] of await readRecords(folderOf(options))) {
    if (!record.isDefault || record.repository !== name.repository || record.revision !== name.revision) continue;
    if (record.file !== undefined) return findModel(fileAddress(name, record.file), options);
    if (await isWholeFolder(path, record)) return path;
  }
  return undefined;
}

async function isWholeFolder(folder: string, { files }: ModelRecord): Promise<boolean> {
  const sizes = await Promise.all(
    files.map(({ path }) =>
      stat(join(folder, path)).then(
        ({ size }) => size,
        () => -1,
      ),
    ),
  );
  return files.every(({ size }, i) => sizes[i] === size);
}

async function pull(name: HubName, options: DownloadOptions): Promise<PulledModel> {
  const repository = await readRepository(name, options);
  const { file, files } = chooseFiles(repository, name);
  const path = file === undefined ? folderPath(name, options) : pathOf(fileAddress(name, file), options);
  const before = await readRecord(path);
  const fetch = new Fetch(name, { commit: repository.commit, files, before, folder: path, file }, options);
  const isNew = await fetch.all();
  const isDefault = name.file === undefined || (before?.isDefault ?? false);
  const { repository: id, revision } = name;
  const { commit } = repository;
  const pulledAt = new Date().toISOString();
  await writeRecord(path, { repository: id, revision, file, commit, isDefault, files, pulledAt });
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { name: formatName(isDefault ? { ...name, file: undefined } : { ...name, file }), path, bytes, commit, isNew };
}

/** Named as files are: by what people recognise, and a hash of its address. */
function folderPath(name: HubName, options: DownloadOptions): string {
  const directory = fileAddress(name, name.repository.split("/")[1]);
  return join(folderOf(options), cacheName(directory));
}

interface Plan {
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
  /** of what was here before */
  readonly before: ModelRecord | undefined;
  readonly folder: string;
  /** undefined: the files go into the folder */
  readonly file: string | undefined;
}

/** Of all files of one model. */
class Fetch {
  readonly #total: number;

  constructor(
    readonly name: HubName,
    readonly plan: Plan,
    readonly options: DownloadOptions,
  ) {
    this.#total = plan.files.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether any had to be downloaded. */
  async all(): Promise<boolean> {
    let [done, isNew] = [0, false];
    for (const file of this.plan.files) {
      if (await this.#one(file, done)) isNew = true;
      done += file.size;
      this.options.onProgress?.(done, this.#total);
    }
    return isNew;
  }

  async #one(file: RepositoryFile, done: number): Promise<boolean> {
    const { name, plan, options } = this;
    const address = fileAddress(name, file.path, plan.commit);
    const isModel = plan.file !== undefined;
    const path = isModel ? pathOf(address, options) : join(plan.folder, file.path);
    const find = (isFresh: boolean) => this.#isHere(path, file, isFresh);
    if (await find(false)) return false;
    const onProgress = (bytes: number) => options.onProgress?.(done + bytes, this.#total);
    await fetchFile(address, path, { find, isModel, expected: file }, { ...options, onProgress });
    return true;
  }

  /** true or undefined. The bytes of a file are read where no record says what they are. */
  async #isHere(path: string, file: RepositoryFile, isFresh: boolean): Promise<true | undefined> {
    const { before, file: model } = this.plan;
    if (model !== undefined && (await found(path, this.options.signal)) === undefined) return undefined;
    const size = await stat(path).then(
      (stats) => stats.size,
      () => -1,
    );
    if (size !== file.size) return undefined;
    const known = before?.files.find((each) => each.path === file.path);
    if (isFresh || (known?.checksum === file.checksum && known?.size === file.size)) return true;
    return (await isExpected(path, file)) ? true : undefined;
  }
}
