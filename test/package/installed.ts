/**
 * The package as its users have it: packed, installed from the registry in empty folders with and without its optional
 * packages, then compiled against, bundled, and run. Takes minutes and needs the registry: `npm run test:package`.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createTernion } from "../../src/ai/index.js";
import { collect, Engine } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { Folder, type Outcome } from "./folder.js";

/** with `--omit=optional`, then with all; compilers and bundlers are in a folder of their own */
let [lean, full, tools]: Folder[] = [];
let expected: string;

before(async () => {
  [lean, full, tools] = await Promise.all(["lean", "full", "tools"].map((name) => Folder.create(name)));
  const { stdout, code, stderr } = await lean.run("npm", ["pack", repositoryFile(""), "--ignore-scripts", "--silent"]);
  assert.equal(code, 0, stderr);
  const tarball = join(lean.path, stdout.trim());
  await lean.install(tarball, "--omit=optional");
  await full.install(tarball);
  await tools.install("typescript@5.9", "typescript7@npm:typescript@7", "esbuild@0.28", "vite@8");
  await lean.write("app.mjs", APP);
  expected = await answerHere();
});
after(() => Promise.all([lean, full, tools].map((folder) => folder?.remove())));

const QUESTION = "What is the capital of France?";
const APP = `import { collect, Engine } from "ternion";
import { createTernion } from "ternion/ai";
const [model] = process.argv.slice(2);
const engine = await Engine.load(model, { backend: process.env.BACKEND });
const session = engine.session();
const options = { temperature: 0, maxTokens: 24 };
const bare = await collect(session.generate("${QUESTION}", options));
const chat = await collect(session.chat([{ role: "user", content: "${QUESTION}" }], options));
const prompt = [{ role: "user", content: [{ type: "text", text: "${QUESTION}" }] }];
const { content } = await createTernion({ engine })().doGenerate({ prompt, temperature: 0, maxOutputTokens: 24 });
console.log(JSON.stringify([bare.ids, chat.ids, content]));
await engine.close();
`;

async function answerHere(): Promise<string> {
  await using engine = await Engine.load(undefined, { backend: "cpu" });
  await using session = engine.session();
  const options = { temperature: 0, maxTokens: 24 };
  const bare = await collect(session.generate(QUESTION, options));
  const chat = await collect(session.chat([{ role: "user", content: QUESTION }], options));
  assert.match(bare.text, /Paris/);
  const prompt = [{ role: "user", content: [{ type: "text", text: QUESTION }] }] as const;
  const { content } = await createTernion({ engine })().doGenerate({ prompt, temperature: 0, maxOutputTokens: 24 });
  return `${JSON.stringify([bare.ids, chat.ids, content])}\n`;
}

function answers({ code, stdout, stderr }: Outcome): void {
  assert.equal(stdout, expected, stderr);
  assert.equal(code, 0, stderr);
}

/** Bytes of all files below. */
async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe("without the optional packages", () => {
  const ternion = (...args: string[]) => lean.run(join(lean.path, "node_modules/.bin/ternion"), args);
  const command = "npm install webgpu@0\\.6\\.2";

  test("less than 23 MB is installed, the server included", async () => {
    const modules = join(lean.path, "node_modules");
    for (const name of ["webgpu", "@webgpu", "echarts", "@napi-rs"]) assert.ok(!existsSync(join(modules, name)), name);
    const bytes = await sizeOf(modules);
    assert.ok(bytes < 23e6, `${bytes} bytes`);
  });

  test("the model in the box answers, as an ES module and by require", async () => {
    answers(await lean.node("app.mjs"));
    const program = `const { Engine, boxModel } = require("ternion");
      const model = require.resolve("ternion/models/ternion-tiny.gguf");
      const { version } = require("ternion/package.json");
      console.log(model === boxModel(), version, typeof Engine.load);`;
    await lean.write("app.cjs", program);
    const { stdout, stderr } = await lean.node("app.cjs");
    const { version } = JSON.parse(await readFile(repositoryFile("package.json"), "utf8")) as { version: string };
    assert.equal(stdout, `true ${version} function\n`, stderr);
  });

  test("the GPU backend says what to install, and auto takes the CPU", async () => {
    const { code, stderr } = await ternion("run", "Hello", "--backend", "gpu");
    assert.match(stderr, new RegExp(`^ternion: GPU: the package webgpu is not installed: run ${command}; or use`));
    assert.notEqual(code, 0);
    await lean.write(
      "auto.mjs",
      `import { Engine } from "ternion";
      const engine = await Engine.load(undefined, { backend: "auto", adapter: "any" });
      console.log(engine.description);
      await engine.close();`,
    );
    const auto = await lean.node("auto.mjs");
    assert.match(auto.stdout, /^cpu: /, auto.stderr);
    const failing = `import { Engine } from "ternion"; await Engine.load(undefined, { backend: "gpu" }).catch(({ code }) => console.log(code));`;
    assert.equal((await lean.node("--input-type=module", "-e", failing)).stdout, "BACKEND_UNAVAILABLE\n");
  });

  test("the doctor says it, and passes", async () => {
    const { code, stdout, stderr } = await ternion("doctor", "--threads", "1");
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`missing +GPU: the package webgpu is not installed: run ${command};`));
    assert.match(stdout, new RegExp(`fix +${command}\n`));
  });

  test("the report has its tables, and says how to get charts", async () => {
    const short = ["--contexts", "8", "--seconds", "1", "-n", "4", "--no-verify", "--threads", "1"];
    const { code, stderr } = await ternion("report", "--out", join(lean.path, "report"), ...short);
    assert.equal(code, 0, stderr);
    const page = await readFile(join(lean.path, "report/report.html"), "utf8");
    assert.match(page, /<table>/);
    assert.match(page, /the package echarts is not installed\. Add it with <code>npm install echarts@6\.1\.0<\/code>/);
    assert.doesNotMatch(page, /<figure/);
    assert.match(await readFile(join(lean.path, "report/report.md"), "utf8"), /^# Report of ternion-tiny\.gguf/);
  });
});

test("with the optional packages the GPU backend finds WebGPU", async () => {
  await full.write("app.mjs", APP);
  answers(await full.run(process.execPath, ["app.mjs"], { BACKEND: "cpu" }));
  const { stdout, stderr } = await full.run("npx", ["ternion", "doctor", "--threads", "1"]);
  assert.match(stdout, /^GPU backend\n {2}adapters? /m, stderr);
  assert.doesNotMatch(stdout, /webgpu is not installed|cannot be loaded|could not be listed/);
});

/** What a strict project writes. */
const TYPED = `import { collect, Engine, type EngineOptions, type Finish, type GenerateOptions, diagnose, readGguf, verify } from "ternion";
import { createTernion, type StreamPart } from "ternion/ai";
const options: EngineOptions = { threads: 1, backend: "cpu", onProgress: ({ phase }) => void phase.length };
const asked: GenerateOptions = { maxTokens: 5, stop: ["x"] };
export async function answer(signal: AbortSignal, model: URL): Promise<string> {
  await using engine = await Engine.load(model, { ...options, signal });
  await using session = engine.session();
  let end: Finish | undefined;
  for await (const { text, finish } of session.chat([{ role: "user", content: "Hi" }], asked)) {
    end = text === "" ? undefined : finish;
  }
  const { text, ids } = await collect(session.generate("a", { ...asked, signal }));
  const first: number = ids[0];
  return text + first + end;
}
export async function parts(): Promise<ReadableStream<StreamPart>> {
  await using ternion = createTernion({ model: "x", ...options });
  const prompt = [{ role: "user", content: [{ type: "text", text: "Hi" }] }] as const;
  return (await ternion("x").doStream({ prompt, temperature: 0 })).stream;
}
export const all = [Engine.load(), diagnose(), readGguf("x"), verify("x")];
// @ts-expect-error: a number is no model
Engine.load(5);
// @ts-expect-error: ternion has no such models
createTernion()("x").doEmbed;
// @ts-expect-error: a string is no count
export const wrong: GenerateOptions = { maxTokens: "5" };
`;

/** The types of the server name those of fastify, and with them those of Node.js. */
const TYPED_SERVER = `import Fastify from "fastify";
import { type Observer, type ServerOptions, startServer, ternion } from "ternion/server";
const observer: Observer = { ended: (asked, { reason }) => void (asked.model + reason) };
const options: ServerOptions = { port: 0, models: ["x", { name: "y", model: new URL("file:///y") }], observers: [observer] };
export async function url(): Promise<string> {
  await using server = await startServer(options);
  await Fastify().register(ternion, { prefix: "/ai", models: ["x"] });
  return server.url;
}
// @ts-expect-error: a string is no port
startServer({ port: "8080" });
`;

const COMPILERS = ["typescript", "typescript7"];
const RESOLUTIONS = [
  ["node16", "node16"],
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
];

describe("types", () => {
  before(async () => {
    await lean.write("typed.ts", TYPED);
    await lean.write("server.ts", TYPED_SERVER);
    await lean.install("@types/node@20", "--omit=optional");
  });

  const compile = async (compiler: string, file: string, options: object) => {
    const strict = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, target: "es2022" };
    const compilerOptions = { ...strict, ...options };
    await lean.write("tsconfig.json", JSON.stringify({ compilerOptions, files: [file] }));
    const { code, stdout } = await lean.node(join(tools.path, "node_modules", compiler, "bin/tsc"), "-p", ".");
    assert.equal(stdout, "");
    assert.equal(code, 0);
  };

  for (const compiler of COMPILERS) {
    for (const [module, moduleResolution] of RESOLUTIONS) {
      for (const lib of [["es2022"], ["es2022", "dom"]]) {
        for (const types of [[], ["node"]]) {
          const name = [compiler, moduleResolution, ...lib, ...types].join(", ");
          test(`compile with ${name}`, async () => {
            await compile(compiler, "typed.ts", { module, moduleResolution, lib, types, skipLibCheck: false });
          });
        }
      }
      test(`of the server compile with ${compiler}, ${moduleResolution}`, async () => {
        const lib = ["es2022", "esnext.disposable"];
        await compile(compiler, "server.ts", { module, moduleResolution, lib, types: ["node"], skipLibCheck: true });
      });
    }
  }
});

describe("bundled", () => {
  const esbuild = (output: string, ...args: string[]) => {
    const program = join(tools.path, "node_modules/esbuild/bin/esbuild");
    return lean.run(program, [
      "app.mjs",
      "--bundle",
      "--platform=node",
      `--outfile=${output}`,
      "--log-level=error",
      ...args,
    ]);
  };
  const vite = async (outDir: string, ssr: object) => {
    const config = { ssr, build: { ssr: "app.mjs", outDir, target: "node20" }, logLevel: "warn" };
    await lean.write(`${outDir}.config.mjs`, `export default ${JSON.stringify(config)};`);
    const args = ["build", "--config", `${outDir}.config.mjs`];
    return lean.node(join(tools.path, "node_modules/vite/bin/vite.js"), ...args);
  };
  const built = ({ code, stdout, stderr }: Outcome) => assert.equal(code, 0, stdout + stderr);
  const ADVICE = /PACKAGE_MISSING[\s\S]*mark ternion as external|mark ternion as external[\s\S]*PACKAGE_MISSING/;

  test("by esbuild, external: it answers", async () => {
    built(await esbuild("out/external.mjs", "--format=esm", "--external:ternion"));
    answers(await lean.node("out/external.mjs"));
  });

  test("by esbuild, all in one: the error says what to do, with and without a model", async () => {
    built(await esbuild("out/all.mjs", "--format=esm"));
    const model = repositoryFile("models/ternion-tiny.gguf");
    for (const args of [[], [model]]) assert.match((await lean.node("out/all.mjs", ...args)).stderr, ADVICE);
  });

  test("by Vite for SSR: it answers", async () => {
    built(await vite("ssr", {}));
    answers(await lean.node("ssr/app.js"));
  });

  test("by Vite, all in one: the error says what to do", async () => {
    built(await vite("inline", { noExternal: true }));
    assert.match((await lean.node("inline/app.js")).stderr, ADVICE);
  });
});

describe("other runtimes", () => {
  const RUNTIMES = [
    { name: "bun", file: "node_modules/.bin/bun", args: [] },
    { name: "deno", file: "node_modules/.bin/deno", args: ["run", "--allow-all"] },
  ];
  for (const { name, file, args } of RUNTIMES) {
    test(`${name} gives the answer of Node.js`, async (context) => {
      const folder = await Folder.create(name);
      try {
        const problem = await folder.install(name).then(
          () => undefined,
          (error: Error) => error.message,
        );
        if (problem !== undefined) return context.skip(`${name} cannot be installed here: ${problem.split("\n")[0]}`);
        answers(await lean.run(join(folder.path, file), [...args, "app.mjs"]));
      } finally {
        await folder.remove();
      }
    });
  }
});
