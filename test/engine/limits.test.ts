/** Processes whose system gives no more files, threads or memory: a typed error that says what to do, and nothing ends. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { repositoryFile } from "../golden.js";
import { TINY } from "./engines.js";

const run = promisify(execFile);

const PRELUDE = `
  const { closeSync, openSync } = await import("node:fs");
  const { Engine, collect } = await import(process.argv[1]);
  const load = (threads) => Engine.load(process.argv[2], { backend: "cpu", threads, contextLength: 64 });
  const answer = async (engine) => {
    const session = engine.session();
    const { ids } = await collect(session.generate([1, 2, 3], { maxTokens: 4, temperature: 0, ignoreEnd: true }));
    await session.close();
    return ids.join();
  };
  const outcome = (promise) => promise.then(() => "loaded", ({ name, code, message }) => name + " " + code + ": " + message);
`;

async function limited(limit: string, program: string): Promise<string[]> {
  const command = `ulimit ${limit}; exec "$@"`;
  const node = [process.execPath, "--input-type=module", "-e", PRELUDE + program];
  const { stdout } = await run("sh", ["-c", command, "sh", ...node, repositoryFile("dist/src/index.js"), TINY]);
  return stdout.trim().split("\n");
}

describe("limits of the system", { skip: process.platform !== "linux" && "ulimit is not the same there" }, () => {
  for (const free of [1, 3, 6, 10, 14]) {
    test(`${free} files left: the load fails, another engine goes on, and later loads work`, async () => {
      const lines = await limited(
        "-n 200",
        `
        const other = await load(2);
        console.log(await answer(other));
        const files = [];
        try { for (;;) files.push(openSync("/dev/null")); } catch {}
        for (let i = 0; i < ${free}; i++) closeSync(files.pop());
        console.log(await outcome(load(4)));
        console.log(await answer(other));
        for (const file of files) closeSync(file);
        console.log(await answer(other));
        const next = await load(3);
        console.log(await answer(next));
        await next.close();
        await other.close();
        console.log("end");`,
      );
      const [first, failure, ...rest] = lines;
      assert.match(failure, /^TernionError (BACKEND_FAILED|GGUF_READ|PACKAGE_MISSING): .*EMFILE.*\. [A-Z].*\.$/);
      assert.deepEqual(rest, [first, first, first, "end"]);
    });
  }

  test("too little address space is OUT_OF_MEMORY and no error of the caller", async (t) => {
    const [outcome] = await limited("-v 12000000", "console.log(await outcome(load(2)));");
    if (outcome === "loaded" && Number.parseInt(process.versions.v8, 10) >= 13) {
      return t.skip(`V8 ${process.versions.v8} does with less; with much less Node.js itself does not start`);
    }
    assert.match(outcome, /^TernionError OUT_OF_MEMORY: shared memory: expected \d+ MiB .*ulimit -v/);
  });
});
