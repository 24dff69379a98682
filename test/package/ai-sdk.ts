/**
 * `ternion/ai` as installed, under both versions of the AI SDK: compiled against its types, and run. Version 7 asks for
 * Node.js 22, which is where users have it. Needs the registry: `npm run test:package`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { repositoryFile } from "../golden.js";
import { Folder } from "./folder.js";

let tarball: string;
let packed: Folder;
before(async () => {
  packed = await Folder.create("packed");
  const { stdout, code, stderr } = await packed.run("npm", [
    "pack",
    repositoryFile(""),
    "--ignore-scripts",
    "--silent",
  ]);
  assert.equal(code, 0, stderr);
  tarball = join(packed.path, stdout.trim());
});
after(() => packed.remove());

const RUN = `import { generateText, jsonSchema, Output, streamText, tool } from "ai";
import { createTernion } from "ternion/ai";
const ternion = createTernion({ backend: "cpu", threads: 2, specificationVersion: process.argv[2] });
const asked = { model: ternion("box"), prompt: "What is the capital of France?", temperature: 0 };
const { text, finishReason, warnings } = await generateText(asked);
let streamed = "";
for await (const part of streamText(asked).textStream) streamed += part;
const schema = jsonSchema({
  type: "object",
  properties: { city: { enum: ["Paris"] } },
  required: ["city"],
  additionalProperties: false,
});
const { output } = await generateText({ ...asked, output: Output.object({ schema }) });
const tools = { weather: tool({ inputSchema: schema, execute: ({ city }) => city + ": clear" }) };
const { toolResults } = await generateText({ ...asked, tools, toolChoice: { type: "tool", toolName: "weather" } });
console.log(JSON.stringify({ text, finishReason, warnings, streamed, output, result: toolResults[0].output }));
await ternion.close();
`;

const typed = (versions: readonly string[]) => `import type { LanguageModel } from "ai";
import { createProviderRegistry } from "ai";
import { createTernion } from "ternion/ai";
${versions
  .map(
    (version) => `
import type { LanguageModel${version}, LanguageModel${version}CallOptions } from "@ai-sdk/provider";
import type { CallOptions as Of${version} } from "ternion/ai";
const provider${version} = createTernion({ specificationVersion: "${version.toLowerCase()}" });
export const model${version}: LanguageModel${version} = provider${version}("x");
export const taken${version}: LanguageModel${version}CallOptions extends Of${version} ? true : false = true;
export const any${version}: LanguageModel = model${version};
export const registry${version} = createProviderRegistry({ ternion: provider${version} });
`,
  )
  .join("")}
// @ts-expect-error: no such model
createTernion().embedding("x");
`;

const ANSWER = "The capital of France is Paris.";

for (const { ai, versions } of [
  { ai: "ai@6", versions: ["V3"] },
  { ai: "ai@7", versions: ["V3", "V4"] },
]) {
  describe(ai, () => {
    let folder: Folder;
    before(async () => {
      folder = await Folder.create("ai-sdk");
      await folder.install(tarball, ai, "zod@4", "typescript@5.9", "@types/node@20", "--omit=optional");
    });
    after(() => folder.remove());

    test("its types are met", async () => {
      await folder.write("typed.ts", typed(versions));
      const compilerOptions = {
        ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: true, noEmit: true, types: ["node"] },
        ...{ target: "es2022", module: "nodenext", lib: ["es2022", "dom", "esnext.disposable"] },
      };
      await folder.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["typed.ts"] }));
      const { stdout } = await folder.node("node_modules/typescript/bin/tsc", "-p", ".");
      assert.equal(stdout, "");
    });

    for (const version of versions) {
      test(`texts, objects and calls by specification ${version}`, async () => {
        await folder.write("run.mjs", RUN);
        const { stdout, stderr } = await folder.node("run.mjs", version.toLowerCase());
        const text = { text: ANSWER, finishReason: "stop", warnings: [], streamed: ANSWER };
        const expected = { ...text, output: { city: "Paris" }, result: "Paris: clear" };
        assert.deepEqual(JSON.parse(stdout || "null"), expected, stderr);
        assert.equal(stderr, "");
      });
    }
  });
}
