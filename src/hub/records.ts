/**
 * What is known of a model of the cache beside its bytes: which repository and commit it came from. A record is the file
 * MODEL.json beside a model MODEL, a file or a folder; it names no path, so that whatever it says nothing else is touched.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "../platform/files.js";
import type { HubName } from "./names.js";
import type { RepositoryFile } from "./repository.js";

export interface ModelRecord extends HubName {
  readonly commit: string;
  /** whether it is what the repository's name alone stands for */
  readonly isDefault: boolean;
  /** in the repository: the GGUF or its parts, or what is in the folder */
  readonly files: readonly RepositoryFile[];
  /** date and time, as ISO 8601 has it */
  readonly pulledAt: string;
}

const END = ".json";

export const writeRecord = (model: string, record: ModelRecord): Promise<void> =>
  writeWhole(model + END, (file) => file.writeFile(JSON.stringify(record)));

/** The record of a model at that path; undefined where there is none that can be read. */
export async function readRecord(model: string): Promise<ModelRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(model + END, "utf8")) as ModelRecord;
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Those of a folder, by the paths of their models; the one written last comes first. */
export async function readRecords(folder: string): Promise<ReadonlyMap<string, ModelRecord>> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const paths = names.filter((name) => name.endsWith(END)).map((name) => join(folder, name.slice(0, -END.length)));
  const read = await Promise.all(paths.map(async (path) => [path, await readRecord(path)] as const));
  const sound = read.filter((entry): entry is [string, ModelRecord] => entry[1] !== undefined);
  return new Map(sound.sort(([, a], [, b]) => b.pulledAt.localeCompare(a.pulledAt)));
}

function isRecord(given: ModelRecord): boolean {
  const { repository, revision, commit, file, isDefault, files, pulledAt } = given;
  const texts = [repository, revision, commit, pulledAt].every((text) => typeof text === "string");
  const sound = (each: RepositoryFile) => typeof each?.path === "string" && typeof each.size === "number";
  const named = file === undefined || typeof file === "string";
  return texts && named && typeof isDefault === "boolean" && Array.isArray(files) && files.every(sound);
}
