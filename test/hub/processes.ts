/** A process that downloads what it is given, line by line, and answers each line with one of JSON. Started by tests. */
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { download } from "../../src/hub/pull.js";

export interface Order {
  readonly url: string;
  readonly cacheDirectory: string;
  /** milliseconds that the thread is busy when the first bytes arrive */
  readonly busy?: number;
}

export interface Answered {
  readonly path?: string;
  readonly error?: string;
}

async function obey({ url, cacheDirectory, busy = 0 }: Order): Promise<Answered> {
  let left = busy;
  const onProgress = (loaded: number) => {
    if (loaded > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, left);
    if (loaded > 0) left = 0;
  };
  try {
    return { path: await download(url, { cacheDirectory, ...(busy > 0 && { onProgress }) }) };
  } catch (error) {
    return { error: String(error) };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line)))}\n`);
  }
}
