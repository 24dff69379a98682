/**
 * What a repository of Hugging Face holds: one request to its API, which gives the commit, and the sizes and checksums of
 * all files at it. Where a mirror is set it is asked instead.
 */
import { printable, quote } from "../errors.js";
import { type Address, addressOf, failure } from "./address.js";
import { request } from "./http.js";
import { formatName, type HubName, isPath, pageOf } from "./names.js";
import { persistently, type RangeOptions } from "./range.js";
import { IDLE_TIMEOUT, refused } from "./transfer.js";

/** One file of a repository. */
export interface RepositoryFile {
  /** in the repository */
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** SHA-256 (64 hexadecimal digits) or, of a file that git keeps itself, its object id (40) */
  readonly checksum?: string | undefined;
}

/** What a repository has at one commit. */
export interface Repository {
  /** full id of the commit that the revision is at */
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
}

/** Bytes of an answer; one about ten thousand files takes 3 MB. */
const MOST_BYTES = 32 << 20;

/** Rejects with MODEL_DOWNLOAD where there is no such repository or revision, or this user may not see it. */
export async function readRepository(name: HubName, options: RangeOptions): Promise<Repository> {
  const { repository, revision } = name;
  const api = `https://huggingface.co/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const address = { ...addressOf(new URL(api)), url: pageOf(name) };
  const text = await persistently(address, options, () => readText(address, options));
  return parsed(address, text, name);
}

async function readText(address: Address, { signal, idleTimeout = IDLE_TIMEOUT }: RangeOptions): Promise<string> {
  const headers = { accept: "application/json", "accept-encoding": "identity" };
  const reply = await request(address, { headers, signal, idleTimeout });
  try {
    if (reply.status === 404) throw failure(address, "got 404: there is no such repository or revision", CHECK);
    if (reply.status !== 200) throw refused(address, reply);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of reply.chunks()) {
      size += chunk.byteLength;
      if (size > MOST_BYTES)
        throw failure(address, `expected a list of files, got more than ${MOST_BYTES} bytes`, CHECK);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  } finally {
    reply.end();
  }
}

const CHECK = "Check the name, upper and lower case count, and HF_ENDPOINT, if it is set";

function parsed(address: Address, text: string, name: HubName): Repository {
  try {
    const { sha, siblings } = JSON.parse(text);
    if (typeof sha !== "string" || !/^[0-9a-f]{40,64}$/.test(sha)) throw new Error("no commit");
    if (!Array.isArray(siblings)) throw new Error("no files");
    return { commit: sha, files: siblings.map(fileOf).filter(({ path }) => isPath(path)) };
  } catch (error) {
    const problem = `expected the API's list of files of ${formatName(name)}, got ${quote(text.slice(0, 40))}`;
    throw failure(address, `${problem} (${printable((error as Error).message)})`, CHECK, error);
  }
}

/** What the API says of a file. Of a large one git has a pointer only, whose id says nothing of the bytes. */
interface Sibling {
  readonly rfilename?: unknown;
  readonly size?: unknown;
  readonly blobId?: unknown;
  readonly lfs?: { readonly sha256?: unknown; readonly size?: unknown } | null;
}

function fileOf(given: unknown): RepositoryFile {
  const { rfilename: path, blobId, lfs, ...rest } = Object(given) as Sibling;
  const size = lfs?.size ?? rest.size;
  const checksum = lfs ? lfs.sha256 : blobId;
  const sound = typeof checksum === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(checksum);
  if (typeof path !== "string") throw new Error("a file without a name");
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw new Error("a file without a size");
  return { path, size: size as number, ...(sound && { checksum: checksum as string }) };
}
