/** A server that answers as Hugging Face does: its API's list of files, and files by range with checksums. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Site, type Sites, withEnvironment } from "./server.js";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Repository@commit → its files. */
export type Repositories = Record<string, Record<string, Buffer>>;

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const gitId = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const isLarge = (path: string) => /\.(gguf|safetensors)$/.test(path);

export class HubSite {
  site!: Site;
  /** "org/repo@commit" → files by path; the API finds a commit by "org/repo@main" in `heads` */
  repositories: Repositories = {};
  heads: Record<string, string> = {};
  /** of paths under /resolve/: answers in the place of the file where it returns true */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  async open(sites: Sites): Promise<void> {
    this.site = await sites.serve((request, response) => this.#answer(request, response));
  }

  /** Makes `files` what the branch or tag `revision` of the repository is at. */
  put(repository: string, files: Record<string, Buffer>, { commit = COMMIT, revision = "main" } = {}): void {
    this.repositories[`${repository}@${commit}`] = files;
    this.heads[`${repository}@${revision}`] = commit;
  }

  clear(): void {
    this.repositories = {};
    this.heads = {};
    this.instead = () => false;
    this.site.requests.length = 0;
  }

  /** Paths that were asked for: "api", or that of a file. */
  asked(): string[] {
    return this.site.requests.map(({ url = "" }) =>
      url.startsWith("/api/") ? "api" : decodeURIComponent(url.replace(/^.*\/resolve\/[^/]+\//, "")),
    );
  }

  environment(folder: string): Record<string, string | undefined> {
    return { HF_ENDPOINT: this.site.origin, TERNION_CACHE: folder, HF_HOME: folder, HF_TOKEN: undefined };
  }

  with<T>(folder: string, use: () => Promise<T>): Promise<T> {
    return withEnvironment(this.environment(folder), use);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.instead(request, response)) return;
    const url = new URL(request.url ?? "", "http://host");
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(url.pathname);
    if (api !== null) this.#list(api[1], decodeURIComponent(api[2]), response);
    else this.#file(url, request, response);
  }

  #list(repository: string, revision: string, response: ServerResponse): void {
    const commit = this.heads[`${repository}@${revision}`];
    if (commit === undefined) return void response.writeHead(404).end('{"error":"Repository not found"}');
    const siblings = Object.entries(this.repositories[`${repository}@${commit}`]).map(([rfilename, bytes]) => ({
      rfilename,
      size: bytes.length,
      blobId: gitId(bytes),
      ...(isLarge(rfilename) && { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
    }));
    response.end(JSON.stringify({ id: repository, sha: commit, siblings }));
  }

  #file(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const [, repository, revision, path] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const named = decodeURIComponent(revision ?? "");
    const commit = this.heads[`${repository}@${named}`] ?? named;
    const bytes = this.repositories[`${repository}@${commit}`]?.[decodeURIComponent(path ?? "")];
    if (bytes === undefined) return void response.writeHead(404).end();
    response.setHeader("etag", `"${isLarge(path) ? sha256(bytes) : gitId(bytes)}"`);
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) return void response.setHeader("content-length", bytes.length).end(bytes);
    response.setHeader("content-range", `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
    response.writeHead(206).end(bytes.subarray(Number(from)));
  }
}
