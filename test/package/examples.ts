/** Every program of examples/, run as its first comment says, on the model in the box, and what it prints. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { repositoryFile } from "../golden.js";

/** What each prints, beside what comes out of the model by chance. */
const PRINTS: Readonly<Record<string, readonly RegExp[]>> = {
  "abort.mjs": [/^AbortError after 20 tokens\nTimeoutError after 200 ms\nleft after 4\d characters\n.*Paris/],
  "ai-generate-object.mjs": [
    /^\{ sentiment: '(positive|negative)', stars: [1-5] \}\n/,
    /\{\n {2}title: '.*',\n {2}steps: \[\n.*,\n.*\n {2}\]\n\}\n\d+ tokens\n$/,
  ],
  "ai-stream-text.mjs": [/^The capital of France is Paris\.\n\d+ tokens in, \d+ out, \d+ tokens\/s\n$/],
  "ai-tools.mjs": [
    /^call: weather\(\{"city":"\w+"\}\)\nresult: \{"city":"\w+","sky":"clear","degrees":21\}\nanswer: .+/,
  ],
  "batch.mjs": [
    /Paris[\s\S]*fibonacci\(n\)[\s\S]*Rome[\s\S]*Tokyo[\s\S]*Madrid/,
    /\n119 tokens in [\d.]+ s: \d+ tokens\/s/,
  ],
  "benchmark.mjs": [/^cpu: .*, loaded in \d+ ms\n(\d at once: \d+ tokens\/s, first token after \d+ ms\n){3}$/],
  "express.mjs": [/^listening on http/, /\ndata: \{"text":" France"\}\n/, /\ndata: \{"finish":\{"reason":"stop"/],
  "json-schema.mjs": [
    /^\{\n {2}country: '(France|Italy|Japan)',\n {2}capital: '.*',\n {2}population: \d+,\n {2}languages: \[[\s\S]*\]\n\}\n\d{4}-\d\d-\d\d\n$/,
  ],
  "langchain.mjs": [/^The capital of France is Paris\.\n.*Rome\.\n.*Tokyo\.\n.*Madrid\.\n$/],
  "next-route.mjs": [/^The capital of France is Paris\.\n200, and 400 for a wrong body\n$/],
  "rag.mjs": [/ 0 of them cached/, /\(library\.md, museum\.md\)\n.*\n {2}\d+ prompt tokens, [1-9]\d+ of them cached/],
  "server-openai.mjs": [/^model: local\nThe capital of France is Paris\.\n\d+ tokens in, \d+ out\n$/],
};

const FOLDER = repositoryFile("examples");
const PROGRAMS = readdirSync(FOLDER).filter((name) => name.endsWith(".mjs"));

/** Two at a time, on as many processors. */
describe("examples", { concurrency: 2 }, () => {
  it("are all listed, and all run", () => {
    assert.deepEqual(Object.keys(PRINTS), PROGRAMS);
    const listed = [...readFileSync(`${FOLDER}/README.md`, "utf8").matchAll(/\]\(([\w-]+\.mjs)\)/g)].map(
      ([, name]) => name,
    );
    assert.deepEqual(listed.sort(), PROGRAMS);
  });

  for (const name of PROGRAMS) {
    it(name, async () => {
      const text = readFileSync(`${FOLDER}/${name}`, "utf8");
      assert.match(
        text,
        /^\/\*\*\n( \*.*\n)*? \* {3}npm install ternion.*\n( \*.*\n)*? \* {3}node /,
        "says how to run it",
      );
      assert.ok(text.split("\n").length <= 61, "is short");
      const env = { ...process.env, VK_DRIVER_FILES: "/dev/null" }; // a software GPU would take minutes
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [name], {
        cwd: FOLDER,
        env,
        timeout: 120_000,
      });
      for (const pattern of PRINTS[name] ?? []) assert.match(stdout, pattern);
      assert.equal(stderr, "");
    });
  }
});
