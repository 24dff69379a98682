/** What an engine held is the system's again when close() resolves, although the host still holds the engine. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { repositoryFile } from "../golden.js";

const run = promisify(execFile);

/** A process that loads, answers and closes again and again, and prints its resident MiB before and after each close. */
const PROGRAM = `
  const { Engine, collect } = await import(process.argv[1]);
  const mib = () => Math.round(process.memoryUsage().rss / 2 ** 20);
  const kept = [];
  for (let i = 0; i < Number(process.argv[4]); i++) {
    const engine = await Engine.load(process.argv[2], { backend: process.argv[3], threads: 2, contextLength: 64 });
    const session = engine.session();
    await collect(session.generate([1, 2, 3], { maxTokens: 2 }));
    const open = mib();
    await engine.close();
    kept.push(engine, session);
    console.log(open, mib());
  }`;

let folder = "";
let model = "";
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ternion-memory-"));
  model = join(folder, "model.gguf");
  await run(process.execPath, [repositoryFile("dist/bench/make-model.js"), "--shape", "0.1B", model]);
});
after(() => rmSync(folder, { recursive: true }));

for (const [backend, engines] of [
  ["cpu", 4],
  ["reference", 2],
] as const) {
  test(`${backend}: ${engines} engines of a model of 45 MB in a row`, async () => {
    const index = repositoryFile("dist/src/index.js");
    const { stdout } = await run(process.execPath, [
      "--input-type=module",
      "-e",
      PROGRAM,
      index,
      model,
      backend,
      `${engines}`,
    ]);
    const rounds = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number));
    assert.equal(rounds.length, engines);
    const [[open, closed]] = rounds;
    assert.ok(open - closed > 40, `the first close gave back ${open - closed} MiB of a model of 45 MB`);
    const last = rounds[engines - 1][1];
    // an engine that the host holds keeps its tokenizer, 4 MiB; the allocator keeps up to 50 MiB for later now and then
    assert.ok(last - closed < 80, `after the first close ${closed} MiB, after the last one ${last} MiB`);
  });
}
