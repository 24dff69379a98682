/** One name in all worlds: an op of the contract, of the CPU's commands, and the WGSL entry with its folder and description. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { OPS } from "../../src/backend/cpu/commands.js";
import { repositoryFile } from "../golden.js";

const textOf = (path: string) => readFileSync(repositoryFile(path), "utf8");

/** "normQuantize" → "norm-quantize" */
const folderOf = (op: string) => op.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Ops of the contract: what records and returns at once. */
const CONTRACT = [...textOf("src/backend/backend.ts").matchAll(/^ {2}(\w+)\(.*\): void;$/gm)]
  .map(([, name]) => name)
  .filter((name) => !["begin", "copyBlock", "mark", "place", "setTracer", "write"].includes(name));

/** Every WGSL file, "attend/combine". */
const SHADERS = readdirSync(repositoryFile("wgsl"), { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".wgsl"))
  .map((path) => path.slice(0, -".wgsl".length));

const shader = (path: string) => textOf(`wgsl/${path}.wgsl`);
const entriesOf = (path: string) =>
  [...shader(path).matchAll(/@compute[^\n]*\n(?:@[^\n]*\n)*fn (\w+)/g)].map(([, name]) => name);

test("the ops of the contract were found", () => {
  const rows = ["embed", "normQuantize", "ternary", "quantize", "linear", "normHeads"];
  assert.deepEqual(CONTRACT, [...rows, "ropeStore", "attend", "gate", "normOutputs", "logits", "best", "sample"]);
});

test("an op has a WGSL folder, a file and an entry of its name, and a description of it", () => {
  for (const op of CONTRACT) {
    const folder = folderOf(op);
    assert.ok(SHADERS.includes(`${folder}/${folder}`), `wgsl/${folder}/${folder}.wgsl`);
    assert.ok(entriesOf(`${folder}/${folder}`).includes(op), `entry ${op} of wgsl/${folder}/${folder}.wgsl`);
    assert.match(textOf(`src/backend/gpu/kernels/${folder}.ts`), new RegExp(`export function ${op}\\(`));
  }
});

test("what the CPU's commands and the WGSL entries have beside the contract has one name too", () => {
  const entries = SHADERS.flatMap(entriesOf);
  const own = ["headPack", "fixedPoint"]; // of the CPU alone
  const beside = OPS.filter((op) => !CONTRACT.includes(op) && !own.includes(op));
  assert.deepEqual(beside, ["attendSplit", "combine"]);
  for (const op of beside) assert.ok(entries.includes(op), op);
  assert.equal(new Set(entries).size, entries.length, "an entry twice");
});

test("a WGSL entry is explained before it is fast: the plain loop, and what must hold", () => {
  for (const path of SHADERS) {
    const text = shader(path);
    assert.match(text, /^(enable \w+;\n+)*\/\/ /, `${path} begins with what it is`);
    if (entriesOf(path).length === 0) continue;
    assert.ok(!path.startsWith("shared/"), `${path}: fragments have no entry`);
    const head = text.slice(0, text.search(/^(const|struct|alias|var|@group)/m));
    assert.match(head, /Plain loop\b/, path);
    assert.match(head, /Preconditions:/, path);
  }
});

test("every binding has its shape beside it, or above it", () => {
  for (const path of SHADERS) {
    const lines = shader(path).split("\n");
    const bare = lines.filter(
      (line, i) => line.includes("var<storage") && !/\/\/.*\(\w/.test(`${lines[i - 1]}${line}`),
    );
    assert.deepEqual(bare, [], path);
  }
});

test("one function knows where the cache holds a head", () => {
  const others = SHADERS.filter(
    (path) =>
      path !== "shared/cache" &&
      /\bBLOCK\b\s*[*+/%]|[*+/%]\s*BLOCK\b|\.blocks\b/.test(shader(path).replace(/\/\/.*/g, "")),
  );
  assert.deepEqual(others, []);
  for (const path of ["attend/attend", "rope-store/rope-store", "ternary-row/rope"]) {
    assert.match(shader(path), /\bcacheAt\(/, path);
  }
});
