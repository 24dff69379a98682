/** What the tests of downloads share: servers of this process, small model files, and the errors that are expected. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TernionError } from "../../src/errors.js";

// the servers are here: a proxy of the machine's environment cannot reach them
for (const name of ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]) {
  delete process.env[name];
  delete process.env[name.toUpperCase()];
}

/** `size` bytes that are a GGUF file: a head without keys and tensors, then a pattern that depends on `seed`. */
export function modelOf(size: number, seed = 1): Buffer {
  const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8) * seed) & 255));
  bytes.fill(0, 0, 32);
  bytes.write("GGUF");
  bytes.writeUInt32LE(3, 4);
  return bytes;
}

export interface Site {
  readonly origin: string;
  readonly requests: IncomingMessage[];
}

/** Servers and folders of one test file, and their end. */
export class Sites {
  readonly #servers: Server[] = [];
  readonly #folders: string[] = [];

  /** A server that answers every request by `answer`; without a request, `site.requests` is empty. */
  async serve(answer: RequestListener): Promise<Site> {
    const requests: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      requests.push(request);
      answer(request, response);
    });
    return { origin: `http://127.0.0.1:${await this.listen(server)}`, requests };
  }

  async listen(server: Server): Promise<number> {
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "ternion-hub-"));
    this.#folders.push(folder);
    return folder;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await Promise.all(this.#folders.map((folder) => rm(folder, { recursive: true, force: true })));
  }
}

/** Names in a cache folder, without the hash of the address. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).map((name) => name.replace(/^[0-9a-f]{12}-/, "")).sort();
}

/** Waits until `find` finds something. */
export async function until<T>(find: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    await sleep(20);
  }
}

export async function rejectsWith(promise: Promise<unknown>, message: RegExp): Promise<TernionError> {
  let rejected: unknown;
  await assert.rejects(promise, (error) => {
    rejected = error;
    assert.ok(error instanceof TernionError, String(error));
    assert.equal(error.code, "MODEL_DOWNLOAD");
    assert.match(error.message, message);
    return true;
  });
  return rejected as TernionError;
}

/** Runs `use` with variables of the environment set, or unset where undefined, and sets them back. */
export async function withEnvironment<T>(
  variables: Readonly<Record<string, string | undefined>>,
  use: () => Promise<T>,
): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(variables)) set(name, value);
  try {
    return await use();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}
