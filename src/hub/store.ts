/**
 * The models of the cache: listed from what lies there, found by name, deleted. Only files that the list has are touched,
 * whatever a name says; none while another process downloads it.
 */
import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import * as check from "../check.js";
import { printable, TernionError } from "../errors.js";
import { partName } from "../gguf/split.js";
import { systemReason } from "../platform/files.js";
import { addressOf, cacheName, partOf } from "./address.js";
import { folderOf } from "./copies.js";
import { locked } from "./lock.js";
import { formatName, parseName } from "./names.js";
import { type ModelRecord, readRecords } from "./records.js";

/** Of `cachedModels` and `removeModel`. */
export interface StoreOptions {
  /** default: `$TERNION_CACHE`, else `$XDG_CACHE_HOME/ternion`, else `~/.cache/ternion` */
  readonly cacheDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHECKS: check.OptionChecks<StoreOptions> = { cacheDirectory: check.filled, signal: check.signal };

/** A model of the cache. */
export interface CachedModel {
  /** by which it is loaded: "hf:ORG/REPO...", or the path of what came by its URL */
  readonly name: string;
  readonly path: string;
  /** on the disk */
  readonly bytes: number;
  /** whether its download ended */
  readonly isWhole: boolean;
  /** of what was pulled by name */
  readonly repository?: string | undefined;
  readonly revision?: string | undefined;
  readonly commit?: string | undefined;
  /** path in the repository of its GGUF; undefined for a folder */
  readonly file?: string | undefined;
  /** as ISO 8601 has it */
  readonly pulledAt?: string | undefined;
}

/** What is named as `cacheName` does, and what belongs to it. */
const ENTRY = /^([\da-f]{12}-.+?)(\.part|\.part\.json|\.json|\.[\da-f-]{36}\.lock)?$/;

interface Stored extends CachedModel {
  /** all that is to be deleted with it: files, or one folder and its record */
  readonly entries: readonly string[];
}

/** The models of the cache, by name. Rejects with MODEL_DOWNLOAD where the folder cannot be read. */
export async function cachedModels(given: StoreOptions = {}): Promise<CachedModel[]> {
  const models = await stored(check.options(given, CHECKS));
  return models.map(({ entries: _, ...model }) => model);
}

/** The one model of the cache of that name, URL, file name in the cache or path; undefined where there is none. */
export async function cachedModel(name: string, given: StoreOptions = {}): Promise<CachedModel | undefined> {
  const options = check.options(given, CHECKS);
  const found = await find(check.filled("model name", name), options);
  if (found === undefined) return undefined;
  const { entries: _, ...model } = found;
  return model;
}

/**
 * Deletes a model of the cache, given as to `cachedModel`, and what is left of its download. Rejects with MODEL_DOWNLOAD
 * where there is none, or it is being downloaded.
 */
export async function removeModel(name: string, given: StoreOptions = {}): Promise<CachedModel> {
  const options = check.options(given, CHECKS);
  const found = await find(check.filled("model name", name), options);
  if (found === undefined) throw absent(name);
  const { entries, ...model } = found;
  try {
    for (const entry of entries) await removeEntry(entry, options.signal);
  } catch (error) {
    if (error instanceof TernionError || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new TernionError("MODEL_DOWNLOAD", `${model.path}: cannot be deleted: ${systemReason(error)}.`, {
      cause: error,
    });
  }
  return model;
}

function absent(name: string): TernionError {
  const message = `${printable(name, 200)}: expected a model of the cache, got none of that name. \`ternion list\` shows them.`;
  return new TernionError("MODEL_DOWNLOAD", message);
}

async function find(name: string, options: StoreOptions): Promise<Stored | undefined> {
  const models = await stored(options);
  const paths = [name, join(folderOf(options), name), pathOfUrl(name, options)];
  const full = fullName(name);
  const isIt = (model: Stored) => paths.includes(model.path) || (full !== undefined && isNamed(model, full));
  return models.find(isIt);
}

/** Where the copy of a URL would be; undefined for what is none. */
function pathOfUrl(text: string, options: StoreOptions): string | undefined {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const address = addressOf(new URL(text));
  return join(folderOf(options), cacheName(partOf(address, 1) ?? address));
}

function isNamed({ name, repository, revision, file }: CachedModel, wanted: string): boolean {
  if (repository === undefined) return false;
  return [name, formatName({ repository, revision: revision as string, file })].includes(wanted);
}

/** The name in its full form; undefined for what is none. */
function fullName(name: string): string | undefined {
  try {
    return formatName(parseName(name));
  } catch {
    return undefined;
  }
}

async function stored(options: StoreOptions): Promise<Stored[]> {
  const folder = folderOf(options);
  const names = await readdir(folder).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw new TernionError("MODEL_DOWNLOAD", `${folder}: cannot be read: ${systemReason(error)}.`, { cause: error });
  });
  const records = await readRecords(folder);
  const groups = new Map<string, Set<string>>();
  for (const name of names) {
    const [, base] = ENTRY.exec(name) ?? [];
    if (base === undefined) continue;
    const first = partName(base, 1) ?? base;
    groups.set(first, (groups.get(first) ?? new Set()).add(base));
  }
  const models = await Promise.all(
    [...groups].map(([first, bases]) => {
      const path = join(folder, first);
      return modelOf(
        path,
        [...bases].map((base) => join(folder, base)),
        records.get(path),
      );
    }),
  );
  return models.filter(({ bytes }) => bytes > 0).sort((a, b) => a.name.localeCompare(b.name));
}

async function modelOf(path: string, entries: readonly string[], record: ModelRecord | undefined): Promise<Stored> {
  const sizes = await Promise.all(entries.map(sizesOf));
  const here = sizes.reduce((sum, { whole }) => sum + whole, 0);
  const unfinished = sizes.reduce((sum, { part }) => sum + part, 0);
  const isFolder = sizes.some((each) => each.isFolder);
  const isWhole = here > 0 && unfinished === 0 && (!isFolder || record !== undefined);
  const known = record && { ...record, file: record.isDefault ? undefined : record.file };
  return {
    name: known === undefined ? path : formatName(known),
    path,
    bytes: here + unfinished,
    isWhole,
    entries,
    ...(record && {
      repository: record.repository,
      revision: record.revision,
      commit: record.commit,
      file: record.file,
      pulledAt: record.pulledAt,
    }),
  };
}

interface Sizes {
  readonly whole: number;
  /** of what is not whole yet */
  readonly part: number;
  readonly isFolder: boolean;
}

async function sizesOf(path: string): Promise<Sizes> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) {
    const names = await readdir(path);
    const sizes = await Promise.all(names.map((name) => sizeOf(join(path, name))));
    return { whole: sizes.reduce((sum, size) => sum + size, 0), part: 0, isFolder: true };
  }
  return { whole: stats?.size ?? 0, part: await sizeOf(`${path}.part`), isFolder: false };
}

const sizeOf = (path: string) =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

/** Deletes a file or folder with its record, so that a folder without one does not count as whole. */
async function removeEntry(path: string, signal: AbortSignal | undefined): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isDirectory()) return removeFile(path, signal);
  await rm(`${path}.json`, { force: true });
  const bases = new Set(
    (await readdir(path)).map((name) => name.replace(/\.part(?:\.json)?$|\.[\da-f-]{36}\.lock$/, "")),
  );
  for (const base of bases) await removeFile(join(path, base), signal);
  await rmdir(path).catch((error) => {
    if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error; // somebody downloads it anew
  });
}

function removeFile(path: string, signal: AbortSignal | undefined): Promise<void> {
  const onWait = async () => {
    throw new TernionError("MODEL_DOWNLOAD", `${path}: another process downloads it. Try again when it has ended.`);
  };
  return locked(path, { signal, onWait }, async () => {
    for (const end of ["", ".json", ".part", ".part.json"]) await rm(path + end, { force: true });
  });
}
