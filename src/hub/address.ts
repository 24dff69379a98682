/**
 * What an http(s) address stands for: which file (the name of its copy in the cache), where it is asked for (a mirror of
 * Hugging Face, if one is set) and how it is shown. Queries, users and passwords are in no name and in no message.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import querystring from "node:querystring";
import { printable, TernionError } from "../errors.js";
import { partName } from "../gguf/split.js";

const HUB = "https://huggingface.co";
const HUB_HOSTS: readonly string[] = ["huggingface.co", "www.huggingface.co", "hf.co"];

/** A file to download. */
export interface Address {
  /** of the file, whatever mirror it comes from; without user and password */
  readonly url: URL;
  /** where it is asked for */
  readonly source: URL;
  /** value of the header `authorization` for the origin of `source`: from the user and password of a URL */
  readonly authorization?: string | undefined;
}

/** Where Hugging Face is: `$HF_ENDPOINT`, else the site itself. */
export function hubEndpoint(): URL {
  const endpoint = process.env.HF_ENDPOINT || HUB;
  if (URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol)) return new URL(endpoint);
  throw new TernionError("MODEL_DOWNLOAD", `HF_ENDPOINT: expected a URL as ${HUB}, got something else. Correct it.`);
}

export function addressOf(given: URL): Address {
  const url = new URL(given);
  const authorization = takeCredentials(url);
  url.hash = "";
  const endpoint = hubEndpoint();
  const onHub = HUB_HOSTS.includes(url.host);
  if (onHub || url.origin === endpoint.origin) {
    // the page about a file, whose address the browser shows, and the file itself
    url.pathname = url.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//, "$1/resolve/");
    if (url.searchParams.has("download")) url.searchParams.delete("download");
  }
  if (!onHub) return { url, source: url, authorization };
  const file = new URL(url.pathname + url.search, HUB);
  const source = new URL(endpoint.pathname.replace(/\/$/, "") + url.pathname + url.search, endpoint);
  return { url: file, source, authorization };
}

/** The address of another part of a split model; undefined where the name does not say that it is one. */
export function partOf({ url, source, authorization }: Address, number: number): Address | undefined {
  const named = (address: URL) => {
    const name = partName(address.pathname, number);
    return name === undefined ? undefined : Object.assign(new URL(address), { pathname: name });
  };
  const [file, from] = [named(url), named(source)];
  return file && from && { url: file, source: from, authorization };
}

/** Most characters of a name: file systems end at 255 bytes, and ".part.json" or a lock's name is added. */
const LONGEST_NAME = 160;

/**
 * A name that people recognise, and a hash of the whole address against mistaking one file for another. Parts of a model
 * have the same hash: by their names they are found.
 */
export function cacheName(address: Address): string {
  const { origin, pathname, search } = (partOf(address, 1) ?? address).url;
  const hash = createHash("sha256").update(`${origin}${pathname}${search}`).digest("hex").slice(0, 12);
  const name = basename(address.url.pathname).replace(/[^\w.-]/g, "_") || "model.gguf";
  return `${hash}-${name.slice(-LONGEST_NAME)}`; // its end names the part and the format
}

export function failure({ url }: Pick<Address, "url">, problem: string, advice: string, cause?: unknown): TernionError {
  const origin = url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin;
  const shown = printable(`${origin}${url.pathname}`, 300);
  return new TernionError("MODEL_DOWNLOAD", `${shown}: ${problem}. ${advice}.`, { cause });
}

function takeCredentials(url: URL): string | undefined {
  const { username, password } = url;
  if (username === "" && password === "") return undefined;
  Object.assign(url, { username: "", password: "" });
  const [name, secret] = [username, password].map(querystring.unescape); // takes "%zz" as it is
  const plain = `${name}:${secret}`;
  return `Basic ${Buffer.from(plain).toString("base64")}`;
}
