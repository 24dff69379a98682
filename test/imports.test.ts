/** The import direction of the sources, read from the sources: what may know what, no cycles, no device in the model. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { repositoryFile } from "./golden.js";

interface Import {
  readonly from: string;
  readonly to: string;
  readonly kind: "static" | "type" | "dynamic";
}

const SOURCES = readdirSync(repositoryFile("src"), { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"));

const textOf = (path: string) =>
  readFileSync(repositoryFile(`src/${path}`), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");

/** A statement is one of types if it says so, or if each of its names does. */
function kindOf(clause: string): "static" | "type" {
  const names =
    /^\{([^}]*)\}/
      .exec(clause)?.[1]
      .split(",")
      .filter((name) => name.trim() !== "") ?? [];
  const types = clause.startsWith("type ") || (names.length > 0 && names.every((name) => /^\s*type /.test(name)));
  return types ? "type" : "static";
}

function importsOf(path: string): Import[] {
  const target = (specifier: string) => posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts");
  const text = textOf(path);
  const statements = text.matchAll(/^(?:import|export)\s+([^;"]*?)\s*(?:from\s*)?"(\.[^"]+)"/gm);
  const dynamic = text.matchAll(/\bimport\(\s*"(\.[^"]+)"/g);
  return [
    ...[...statements].map(
      ([, clause, specifier]): Import => ({ from: path, to: target(specifier), kind: kindOf(clause) }),
    ),
    ...[...dynamic].map(([, specifier]): Import => ({ from: path, to: target(specifier), kind: "dynamic" })),
  ];
}

const IMPORTS = SOURCES.flatMap(importsOf);

/** Layers from the top; a file imports from its own part or from those that are named here. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cli: ["server", "index", "platform", "check", "errors"],
  server: ["index", "platform", "check", "errors"],
  /** what the chat page's browser loads */
  page: [],
  ai: ["index", "check", "errors"],
  index: [
    "tools",
    "engine",
    "run",
    "hub",
    "model",
    "grammar",
    "text",
    "sampling",
    "gguf",
    "backend",
    "platform",
    "check",
    "errors",
  ],
  tools: ["engine", "run", "hub", "model", "gguf", "formats", "cpu", "gpu", "backend", "platform", "check", "errors"],
  engine: [
    "run",
    "hub",
    "model",
    "grammar",
    "text",
    "sampling",
    "hf",
    "gguf",
    "cpu",
    "gpu",
    "reference",
    "backend",
    "platform",
    "host",
    "check",
    "errors",
  ],
  run: ["model", "grammar", "text", "sampling", "backend", "host", "check", "errors"],
  hub: ["gguf", "backend", "platform", "check", "errors"],
  model: ["gguf", "formats", "text", "backend", "check", "errors"],
  grammar: ["text", "host", "check", "errors"],
  text: ["gguf", "host", "check", "errors"],
  hf: ["formats", "gguf", "backend", "check", "errors"],
  gguf: ["backend", "check", "errors"],
  cpu: ["sampling", "formats", "backend", "platform", "host", "check", "errors"],
  gpu: ["sampling", "formats", "backend", "platform", "host", "check", "errors"],
  reference: ["sampling", "formats", "backend", "check", "errors"],
  sampling: ["backend", "check", "errors"],
  formats: ["gguf", "backend", "errors"],
  backend: [],
  platform: ["host", "text", "backend", "check", "errors"],
  host: [],
  check: [],
  errors: [],
};

/**
 * "backend/cpu/arena.ts" → "cpu", "sampling/options.ts" → "sampling"; the contract and its formulas are "backend", and what
 * is asked of a platform is "host".
 */
function partOf(path: string): string {
  if (path === "platform/platform.ts") return "host";
  if (path.startsWith("server/page/browser/")) return "page";
  const [first, second, third] = path.replace(/\.ts$/, "").split("/");
  if (first !== "backend") return first;
  if (third !== undefined) return second;
  return second === "reference" ? "reference" : "backend";
}

test("the imports were found", () => {
  assert.ok(SOURCES.length > 20 && IMPORTS.length > 80, `${IMPORTS.length} imports in ${SOURCES.length} files`);
  for (const { from, to } of IMPORTS) assert.ok(SOURCES.includes(to), `${from} imports ${to}, which is not there`);
});

test("imports point one way", () => {
  const wrong = IMPORTS.filter(({ from, to }) => {
    const [part, other] = [partOf(from), partOf(to)];
    assert.ok(part in MAY_IMPORT, `${from} belongs to no part of the architecture`);
    return part !== other && !MAY_IMPORT[part].includes(other);
  });
  assert.deepEqual(
    wrong.map(({ from, to }) => `${from} → ${to}`),
    [],
  );
});

test("the contracts import nothing", () => {
  assert.deepEqual(
    IMPORTS.filter(({ from }) => ["backend/backend.ts", "platform/platform.ts", "errors.ts"].includes(from)),
    [],
  );
});

test("only the engine and the tools load parts of backends, when they are asked for", () => {
  const outside = IMPORTS.filter(({ from, to, kind }) => {
    const backend = ["cpu", "gpu", "reference"].includes(partOf(to)) && partOf(to) !== partOf(from);
    return backend && kind !== "type" && !(["engine", "tools"].includes(partOf(from)) && kind === "dynamic");
  });
  assert.deepEqual(outside, []);
  const loaded = IMPORTS.filter(({ from, kind }) => from === "engine/placing.ts" && kind === "dynamic").map(
    ({ to }) => to,
  );
  assert.deepEqual(loaded.sort(), ["backend/cpu/cpu.ts", "backend/gpu/gpu.ts", "backend/reference.ts"]);
});

/** The files that a file loads, with itself. */
function loadedBy(entry: string): Set<string> {
  const loaded = new Set([entry]);
  for (const path of loaded) {
    for (const { from, to, kind } of IMPORTS) if (from === path && kind !== "type") loaded.add(to);
  }
  return loaded;
}

for (const backend of ["cpu", "gpu"]) {
  test(`${backend}: thread/ is what its worker threads load, and nothing else loads it`, () => {
    const folder = `backend/${backend}/thread/`;
    const within = SOURCES.filter((path) => path.startsWith(folder));
    const entries = within.filter((path) => {
      return SOURCES.some((source) => textOf(source).includes(`dist/src/${path.replace(/ts$/, "js")}`));
    });
    const loaded = entries.map(loadedBy);
    assert.deepEqual(
      within.filter((path) => !loaded.some((files) => files.has(path))),
      [],
    );
    for (const files of loaded) assert.ok(!files.has(`backend/${backend}/${backend}.ts`));
    const outside = IMPORTS.filter(({ from, to, kind }) => {
      return to.startsWith(folder) && !from.startsWith(folder) && kind !== "type";
    });
    assert.deepEqual(outside, []);
  });
}

test("the model takes nothing of text but the template constant", () => {
  const taken = IMPORTS.filter(({ from, to }) => partOf(from) === "model" && partOf(to) === "text");
  assert.deepEqual(
    taken.map(({ from, to }) => `${from} → ${to}`),
    ["model/families/bitnet.ts → text/chat.ts"],
  );
  assert.match(
    textOf("model/families/bitnet.ts"),
    /^import \{ BITNET_CHAT_TEMPLATE \} from "\.\.\/\.\.\/text\/chat\.js";$/m,
  );
});

test("no cycles, types included", () => {
  const next = new Map(SOURCES.map((path) => [path, IMPORTS.filter((i) => i.from === path)]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `cycle: ${[...trail, path].join(" → ")}`);
    if (done.has(path)) return;
    for (const { to } of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of SOURCES) visit(path, []);
});

test("a ternary type is named by its file, by the two tables of types, by backends with a kernel for it and by what writes it", () => {
  const users = (type: string) => SOURCES.filter((path) => textOf(path).includes(type)).sort();
  assert.deepEqual(users("I2_S"), [
    "backend/cpu/commands.ts",
    "formats/i2_s.ts",
    "formats/table.ts",
    "gguf/types.ts",
    "hf/tensors.ts", // what codes of a directory become
    "tools/convert/convert.ts", // what files are converted to
    "tools/convert/describe.ts",
    "tools/convert/quantize.ts",
  ]);
  assert.deepEqual(users("TQ2_0"), [
    "backend/cpu/choice/exercise.ts",
    "backend/cpu/commands.ts",
    "backend/cpu/kernels.ts", // unpackTQ2_0
    "backend/cpu/thread/load.ts",
    "backend/gpu/thread/block-codes.ts",
    "formats/encode.ts", // encodes it
    "formats/table.ts",
    "formats/tq2_0.ts",
    "gguf/types.ts",
    "tools/convert/convert.ts",
    "tools/convert/describe.ts",
    "tools/convert/recode.ts",
  ]);
});

test("the forward pass waits for nothing and names no device", () => {
  const text = textOf("model/forward.ts");
  assert.doesNotMatch(text, /\bawait\b|\basync\b|\bPromise\b/);
  assert.doesNotMatch(text, /cpu|gpu|wasm|thread/i);
});

test("files beside the code are found by platform/package.ts, whose error says what to do in a bundle", () => {
  const users = SOURCES.filter((path) => /\bimport\.meta\.(?:url|dirname|filename)|\b__dirname\b/.test(textOf(path)));
  assert.deepEqual(users, ["platform/package.ts"]);
});

/** What runs in a browser as it does here: the parts of these names, and the WGSL side. */
const EVERYWHERE = [
  "model",
  "formats",
  "gguf",
  "hf",
  "grammar",
  "text",
  "sampling",
  "run",
  "backend",
  "reference",
  "gpu",
  "host",
  "check",
  "page",
];

test("what must run everywhere names no module and no global of Node.js", () => {
  const files = [...SOURCES.filter((path) => EVERYWHERE.includes(partOf(path))), "errors.ts", "platform/bytes.ts"];
  assert.ok(files.length > 60, `${files.length} files`);
  const named = files.flatMap((path) => {
    const found = /"node:[^"]*"|\bBuffer\b|(?<![.#\w])process\b(?=[.[])|\bsetImmediate\b|\bNodeJS\b/.exec(textOf(path));
    return found === null ? [] : [`${path}: ${found[0]}`];
  });
  assert.deepEqual(named, []);
});

test("on the WGSL side only what starts the thread and the thread's entry ask the platform", () => {
  const asking = IMPORTS.filter(({ from, to }) => partOf(from) === "gpu" && partOf(to) === "platform");
  assert.deepEqual([...new Set(asking.map(({ from }) => from))].sort(), [
    "backend/gpu/channel.ts",
    "backend/gpu/thread/worker.ts",
  ]);
});
