/**
 * Paths, URLs and names of models → a local file, or a folder of a model that has several. What is on a server is downloaded
 * once, see copies.ts and named.ts.
 */
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as check from "../check.js";
import { addressOf, failure } from "./address.js";
import { DOWNLOAD_CHECKS, type DownloadOptions, fetchModel } from "./copies.js";
import { fetchNamed } from "./named.js";
import { isHubName, knownModel, parseName } from "./names.js";

/**
 * The path of the model: of a path itself, of a file: URL its path, of an http(s) URL or a name as "hf:ORG/REPO" a copy that
 * is kept. Where the model is split into parts, that of the first. Rejects with MODEL_DOWNLOAD where no whole model comes,
 * and with the reason of `signal`. A short name means its model unless a file has that name.
 */
export async function download(pathOrUrl: string | URL, given: DownloadOptions = {}): Promise<string> {
  const options = check.options(given, DOWNLOAD_CHECKS);
  check.pathOrUrl("model", pathOrUrl);
  const text = String(pathOrUrl);
  if (isHubName(text) || (knownModel(text) !== undefined && !(await isThere(text)))) {
    return fetchNamed(parseName(text), options);
  }
  if (typeof pathOrUrl === "string" && !/^[a-z][a-z\d+.-]*:\/\//i.test(pathOrUrl)) return pathOrUrl;
  // what cannot be parsed is not shown: it may hold a password
  if (!URL.canParse(text)) throw new TypeError("model: expected a path or a URL, got a malformed URL");
  const url = new URL(pathOrUrl);
  if (url.protocol === "file:") return fileURLToPath(url);
  if (url.protocol === "http:" || url.protocol === "https:") return fetchModel(addressOf(url), options);
  throw failure(
    { url },
    `expected a path or an http:, https: or file: URL, got ${url.protocol}`,
    "Download it by hand",
  );
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
