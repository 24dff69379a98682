/** No V8 flag ends the process: what crashes, hangs or computes wrongly under flags does so in a process of its own. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { chooseKernels } from "../../../src/backend/cpu/choice/choose.js";
import { type ProofOptions, prove } from "../../../src/backend/cpu/choice/proof.js";
import { packageFile } from "../../../src/platform/package.js";
import { TINY, ternion } from "../../cli/program.js";

/** A flag that does no harm, and one that makes V8 end the process: "Check failed: !v8_flags.jitless". */
const HARMLESS = ["--no-wasm-lazy-compilation"];
const CRASHING = ["--jitless"];
const BINARY = packageFile("dist/asm/kernels.baseline.wasm");

let root: string;
let folder: string;
let hanging: URL;
const { TERNION_CACHE, NODE_OPTIONS } = process.env;

const proof = (flags = HARMLESS, binary = BINARY, options: ProofOptions = {}) =>
  prove(binary, flags, ["ternaryDotBaseline"], options);
const verdicts = () => readdir(join(folder, "v8-flags")).catch(() => []);

before(async () => {
  root = await mkdtemp(join(tmpdir(), "ternion-proof-"));
  // (import "env" "memory" (memory 1 65536 shared)) (func (loop (br 0))) (start 0)
  const module = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    [1, 4, 1, 0x60, 0, 0],
    [2, 18, 1, 3, ...Buffer.from("env"), 6, ...Buffer.from("memory"), 2, 3, 1, 0x80, 0x80, 4],
    [3, 2, 1, 0],
    [8, 1, 0],
    [10, 9, 1, 7, 0, 3, 0x40, 12, 0, 11, 11],
  ];
  const path = join(root, "hanging.wasm");
  const bytes = Buffer.from(module.flat());
  assert.ok(WebAssembly.validate(bytes));
  await writeFile(path, bytes);
  hanging = pathToFileURL(path);
});
after(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "cache-"));
  process.env.TERNION_CACHE = folder;
});
afterEach(() => {
  for (const [name, value] of Object.entries({ TERNION_CACHE, NODE_OPTIONS, TERNION_V8_FLAGS: undefined })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

test("a verdict is kept, and found without another proof", async () => {
  assert.deepEqual(await proof(), { holds: true, reason: "all results were right" });
  const [name, ...others] = await verdicts();
  assert.deepEqual(others, []); // nothing half written
  const next = await mkdtemp(join(root, "cache-"));
  await mkdir(join(next, "v8-flags"));
  await copyFile(join(folder, "v8-flags", name), join(next, "v8-flags", name));
  process.env.TERNION_CACHE = next;
  assert.equal((await proof(HARMLESS, BINARY, { limitMs: 1 })).holds, true); // no process could do it in that time
});

test("a verdict that is damaged, of something else or a day old is found anew", async () => {
  await proof(CRASHING);
  const [name] = await verdicts();
  const whole = await readFile(join(folder, "v8-flags", name), "utf8");
  const verdict = JSON.parse(whole);
  const damages = {
    empty: "",
    cut: whole.slice(0, -20),
    "of another processor": JSON.stringify({ ...verdict, about: { ...verdict.about, machine: "other" }, holds: true }),
    "no verdict": JSON.stringify({ ...verdict, holds: "yes" }),
    old: JSON.stringify({ ...verdict, until: Date.now() - 1000 }),
    "from the future": JSON.stringify({ ...verdict, until: verdict.until + 3_600_000 }),
  };
  for (const [what, text] of Object.entries(damages)) {
    const next = await mkdtemp(join(root, "cache-"));
    process.env.TERNION_CACHE = next;
    await mkdir(join(next, "v8-flags"));
    await writeFile(join(next, "v8-flags", name), text);
    assert.equal((await proof(CRASHING)).holds, false, what);
    const { until, ...repaired } = JSON.parse(await readFile(join(next, "v8-flags", name), "utf8"));
    assert.deepEqual(repaired, { about: verdict.about, holds: false, reason: verdict.reason }, what);
    assert.ok(until > verdict.until, what);
  }
});

test("flags that crash V8 are not used, and the kernels work", async () => {
  assert.match((await proof(CRASHING)).reason, /^the process that tried them (crashed with SIG|ended with code)/);
  const { flags, refused, dot } = await chooseKernels({ flags: CRASHING });
  assert.deepEqual(flags, []);
  assert.match(refused ?? "", /^V8 flags --jitless are not used: the process that tried them (crashed|ended)/);
  assert.ok(dot);
});

test("without its baseline compiler V8 14 takes inlining for a fatal error: seen by the proof", async (t) => {
  const [major] = process.versions.v8.split(".").map(Number);
  if (major !== 14) return t.skip(`this is V8 ${process.versions.v8}`);
  const { holds } = await proof(["--no-liftoff", "--no-wasm-lazy-compilation"]);
  assert.equal(holds, false);
});

test("flags that V8 does not know, and those that keep it from compiling, are not used", async () => {
  assert.match((await proof(["--no-such-flag"])).reason, /^V8 said ".*unrecognized flag|ended with code/);
  assert.match((await proof(["--max-wasm-functions=1"])).reason, /ended with code 1$/);
});

test("a kernel with wrong results is seen", async () => {
  const bytes = Buffer.from(await readFile(BINARY));
  const [add, sub] = [Buffer.from([0xfd, 0x8e, 0x01]), Buffer.from([0xfd, 0x91, 0x01])]; // of i16x8
  for (let at = bytes.indexOf(add); at >= 0; at = bytes.indexOf(add, at + 1)) sub.copy(bytes, at);
  assert.ok(WebAssembly.validate(bytes));
  const path = join(root, "wrong.wasm");
  await writeFile(path, bytes);
  assert.deepEqual(await proof(HARMLESS, pathToFileURL(path)), {
    holds: false,
    reason: "kernels gave wrong results",
  });
});

test("a hang is ended after its limit", async () => {
  const { holds, reason } = await proof(HARMLESS, hanging, { limitMs: 1500 });
  assert.deepEqual({ holds, reason }, { holds: false, reason: "the process that tried them did not end within 1.5 s" });
  assert.equal((await verdicts()).length, 1);
  assert.equal((await proof(HARMLESS, hanging, { limitMs: 60_000 })).reason, reason); // not again
});

/** Processes whose command line has this text. */
async function running(text: string): Promise<string[]> {
  const found = await Promise.all(
    (await readdir("/proc"))
      .filter((name) => /^\d+$/.test(name))
      .map(async (pid) => {
        const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
        return line.includes(text) && line.includes("proof-child.js") ? pid : "";
      }),
  );
  return found.filter((pid) => pid !== "");
}

const noProc = process.platform === "linux" ? false : "needs /proc";

test("an abort ends the proof and its process, and is no verdict", { skip: noProc }, async () => {
  const abort = new AbortController();
  const aborted = proof(HARMLESS, hanging, { signal: abort.signal });
  while ((await running(hanging.pathname)).length === 0) await sleep(10);
  abort.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  while ((await running(hanging.pathname)).length > 0) await sleep(10);
  assert.deepEqual(await verdicts(), []);
});

test("the process ends with its parent", { skip: noProc }, async () => {
  const source = `import { prove } from ${JSON.stringify(packageFile("dist/src/backend/cpu/choice/proof.js"))};
    await prove(new URL(${JSON.stringify(hanging)}), ["--wasm-lazy-compilation"], ["ternaryDotBaseline"]);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: "ignore" });
  while ((await running(hanging.pathname)).length === 0) await sleep(10);
  parent.kill("SIGKILL");
  while ((await running(hanging.pathname)).length > 0) await sleep(10);
});

test("a cache folder that cannot be written costs a proof in each process", async () => {
  process.env.TERNION_CACHE = join(root, "hanging.wasm"); // a file
  assert.equal((await proof()).holds, true);
  assert.equal((await proof(HARMLESS, BINARY, { limitMs: 1 })).holds, true); // once is enough here
});

test("the caller's NODE_OPTIONS do not reach the proof; those about compilers mean no flags", async () => {
  process.env.NODE_OPTIONS = "--require=/no/such/file.js --max-old-space-size=1";
  assert.equal((await proof()).holds, true);
  process.env.NODE_OPTIONS = "--no-liftoff";
  assert.deepEqual(await proof(), { holds: false, reason: "Node.js was started with --no-liftoff" });
});

test("TERNION_V8_FLAGS=0 means no flags, and the same answer", async () => {
  process.env.TERNION_V8_FLAGS = "0";
  assert.deepEqual(await proof(), { holds: false, reason: "TERNION_V8_FLAGS is 0" });
  assert.deepEqual(await verdicts(), []);
  const command = ["run", "Hello", "--model", TINY, "--threads", "1", "--temperature", "0", "--max-tokens", "12"];
  const answer = async (flags: string, ...options: string[]) => {
    const environment = { TERNION_CACHE: folder, TERNION_V8_FLAGS: flags };
    const { stdout, code } = await ternion([...command, ...options], "", environment);
    assert.equal(code, 0);
    return stdout;
  };
  const without = await answer("0");
  assert.equal(await answer(""), without);
  assert.equal(await answer("", "--revectorize"), without);
});

test("where no process may be started there are no flags", async () => {
  const [major] = process.versions.node.split(".").map(Number);
  const permission = major >= 24 ? "--permission" : "--experimental-permission";
  const source = `import { chooseKernels } from ${JSON.stringify(packageFile("dist/src/backend/cpu/choice/choose.js"))};
    const { flags, refused } = await chooseKernels({ flags: ${JSON.stringify(HARMLESS)} });
    console.log(JSON.stringify({ flags, refused }));`;
  const args = [permission, "--allow-fs-read=*", "--no-warnings", "--input-type=module", "-e", source];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, TERNION_CACHE: folder },
  });
  const { flags, refused } = JSON.parse(stdout);
  assert.deepEqual(flags, []);
  assert.match(refused, /are not used: the process to try them in did not start/);
});
