/** A process ends by itself: after close, without one, after errors, and in the middle of an answer. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { TINY } from "./engines.js";

const INDEX = new URL("../../src/index.js", import.meta.url).href;

/** Runs a program in a process of its own; a hang is an error after a minute, since a busy machine takes long to start threads. */
async function run(program: string): Promise<string> {
  const source = `
    import { Engine, collect } from ${JSON.stringify(INDEX)};
    const load = (options) => Engine.load(${JSON.stringify(TINY)}, { backend: "cpu", threads: 2, ...options });
    const options = { temperature: 0, maxTokens: 3 };
    ${program}
    process.stdout.write("end");`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", source], {
    timeout: 60_000,
  });
  assert.equal(stderr, "");
  return stdout;
}

describe("the process ends by itself", () => {
  const programs = {
    "after close": `const e = await load(); await collect(e.session().generate("a", options)); await e.close();`,
    "right after loading": "await load();",
    "after an answer, without close": `const e = await load(); await collect(e.session().generate("a", options));`,
    "on the reference backend": `const e = await load({ backend: "reference" }); await collect(e.session().generate("a", options));`,
    "with an answer left in the middle": `const e = await load(); await e.session().generate("a", options).next();`,
    "with a loop left early": `const e = await load(); for await (const _ of e.session().generate("a", options)) break;`,
    "after a trace with a profile": `const e = await load({ profile: true }); await e.trace([1, 2, 3]); e.takeProfile();`,
    "after a load that failed": `await load({ threads: 0 }).catch(() => {}); await load({ contextLength: 9999 }).catch(() => {});`,
    "after an aborted load": `await load({ signal: AbortSignal.timeout(20) }).catch(() => {});`,
    "after close in the middle of an answer": `
      const e = await load(); const answer = collect(e.session().generate("a".repeat(900), options)).catch(() => {});
      setTimeout(() => e.close(), 10); await answer;`,
  };
  for (const [name, program] of Object.entries(programs)) {
    test(name, async () => {
      assert.equal(await run(program), "end");
    });
  }
});
