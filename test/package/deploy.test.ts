/** The systemd unit and the Dockerfile: lints, and that every file, script, package, flag and variable they name is there. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { validate } from "dockerfile-utils";
import { createProgram } from "../../src/cli/program.js";
import { repositoryFile } from "../golden.js";

const read = (path: string) => readFileSync(repositoryFile(path), "utf8");
const DOCKERFILE = read("deploy/Dockerfile");
const IGNORE = read("deploy/Dockerfile.dockerignore");
const UNIT = read("deploy/ternion.service");
const MANIFEST = JSON.parse(read("package.json")) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly bin: { readonly ternion: string };
  readonly files: readonly string[];
  readonly optionalDependencies: Readonly<Record<string, string>>;
};

/** Instructions with their continued lines joined, without comments. */
const INSTRUCTIONS = DOCKERFILE.replace(/^#.*\n/gm, "")
  .replace(/\\\n\s*/g, "")
  .split("\n")
  .filter((line) => line.trim() !== "");

const argumentsOf = (name: string) =>
  INSTRUCTIONS.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1).trim());

/** `--name VALUE` of `ternion serve`, as commander knows them. */
function checkFlags(command: string): void {
  const serve = createProgram().commands.find((each) => each.name() === "serve");
  assert.ok(serve !== undefined, "there is a command serve");
  const known = serve.options.map(({ long }) => long);
  const flags = command.match(/--[a-z-]+/g) ?? [];
  assert.ok(flags.length > 0, command);
  for (const flag of flags) assert.ok(known.includes(flag), `${flag} of ${command}`);
}

/** That `name` is a variable which the sources read. */
function checkVariable(name: string): void {
  const sources = readdirSync(repositoryFile("src"), { recursive: true, encoding: "utf8" });
  const readers = sources.filter((path) => path.endsWith(".ts") && read(`src/${path}`).includes(name));
  assert.ok(readers.length > 0, `${name} is read somewhere`);
}

test("the Dockerfile passes a lint", () => {
  const faults = validate(DOCKERFILE).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`);
  assert.deepEqual(faults, []);
  assert.ok(
    validate("FROM node:24\nCMD a\nCMD b\nHEALTHCHECK --often=1s CMD x\n").length >= 2,
    "the lint finds faults",
  );
});

test("what the Dockerfile copies and runs is there, and reaches the build", () => {
  const included = IGNORE.split("\n").flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));
  assert.ok(IGNORE.split("\n").includes("*"), "all else is left out");
  for (const path of included) assert.ok(existsSync(repositoryFile(path)), path);
  for (const copied of argumentsOf("COPY")) {
    if (copied.startsWith("--from=") || copied === ". .") continue;
    for (const path of copied.split(" ").slice(0, -1)) {
      const reaches = included.some((entry) => path === entry || path.startsWith(`${entry}/`));
      assert.ok(reaches && existsSync(repositoryFile(path)), `${path} is in the context`);
    }
  }
  const scripts = argumentsOf("RUN").flatMap((line) => [...line.matchAll(/npm run (\S+)/g)].map(([, name]) => name));
  assert.deepEqual(scripts, ["build"]);
  for (const name of scripts) assert.ok(name in MANIFEST.scripts, name);
  const [, removed = ""] = /npm uninstall ((?:\S+ ?)+)/.exec(argumentsOf("RUN").join("\n")) ?? [];
  const packages = removed.split(" ").filter((word) => !word.startsWith("--"));
  assert.ok(packages.length > 0 && packages.every((name) => name in MANIFEST.optionalDependencies), removed);
});

test("the image has what the package has, but for documents and the GPU's shaders", () => {
  const copied = argumentsOf("COPY").map((line) => line.split(" ").at(-1)?.replace("./", "") ?? "");
  const unused = ["wgsl", "models/README.md", "docs/*.md", "deploy/ternion.service", "examples", "CHANGELOG.md"];
  const needed = MANIFEST.files.filter((each) => !/^(!|bench\/)/.test(each) && !unused.includes(each));
  assert.ok(needed.length >= 4);
  for (const pattern of needed) {
    const isThere = copied.some((target) => target !== "" && pattern.startsWith(target.replace(/\/$/, "")));
    assert.ok(isThere, `${pattern} is copied`);
  }
});

test("the image runs the program, as a user of its own, and asks it for its health", () => {
  const [entry] = argumentsOf("ENTRYPOINT").map((text) => JSON.parse(text) as string[]);
  assert.deepEqual(entry.slice(0, 3), ["node", MANIFEST.bin.ternion, "serve"]);
  checkFlags(entry.join(" "));
  assert.equal(entry[entry.indexOf("--port") + 1], argumentsOf("EXPOSE")[0]);
  const [health] = argumentsOf("HEALTHCHECK");
  assert.match(health, new RegExp(`http://127\\.0\\.0\\.1:${argumentsOf("EXPOSE")[0]}/health`));
  const last = INSTRUCTIONS.slice(INSTRUCTIONS.findLastIndex((line) => line.startsWith("FROM ")));
  assert.ok(last.includes("USER node"));
  for (const [, command] of DOCKERFILE.matchAll(/^# +docker run .* ternion (--.*)$/gm)) checkFlags(command);
  for (const name of ["TERNION_CACHE", "TERNION_API_KEY"]) {
    assert.ok(DOCKERFILE.includes(name));
    checkVariable(name);
  }
});

test("the health check of the image exits by what the server says", async () => {
  const [text] = argumentsOf("HEALTHCHECK");
  const [, script] = JSON.parse(text.slice(text.indexOf("CMD ") + 4)).slice(1) as string[];
  const check = (answer: string) =>
    spawnSync(process.execPath, ["-e", `globalThis.fetch = async () => ${answer};\n${script}`]).status;
  assert.equal(check("({ ok: true })"), 0);
  assert.equal(check("({ ok: false })"), 1);
  assert.equal(check("{ throw new Error('refused'); }"), 1);
});

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

test("the unit is one that systemd takes, and leaves little open", {
  skip: !hasSystemd && "no systemd-analyze",
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ternion-unit-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, "program");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  const unit = join(folder, "ternion.service");
  writeFileSync(unit, UNIT.replace(/^ExecStart=ternion /m, `ExecStart=${program} `));
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  const report = execFileSync("systemd-analyze", ["security", "--offline=true", unit], { encoding: "utf8" });
  const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(report) ?? [];
  assert.ok(Number(exposure) <= 1.5, `exposure ${exposure}`);
});

test("the unit starts what there is, and waits for a drain to end", () => {
  const [, command] = /^ExecStart=ternion (serve .*)$/m.exec(UNIT) ?? [];
  checkFlags(command);
  const [, drain] = /--drain-timeout (\d+)/.exec(command) ?? [];
  const [, stop] = /^TimeoutStopSec=(\d+)$/m.exec(UNIT) ?? [];
  assert.ok(Number(stop) >= Number(drain) + 10, `${stop} s for a drain of ${drain} s`);
  for (const name of ["TERNION_CACHE", "TERNION_API_KEY"]) {
    assert.ok(UNIT.includes(name));
    checkVariable(name);
  }
});
