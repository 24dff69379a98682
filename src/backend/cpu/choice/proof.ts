/**
 * Whether V8 flags hold: a process of its own compiles and runs the kernels under them (proof-child.ts), once for each
 * Node.js, processor and binary; the verdict is kept in the cache folder. A crash, a hang, wrong results, or no way to start
 * that process mean that they do not. Where the verdict cannot be kept, each process finds out anew.
 */
import { type ExecFileException, execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { cacheDirectory } from "../../../platform/cache.js";
import { makeFolder, writeWhole } from "../../../platform/files.js";
import { packageFile } from "../../../platform/package.js";
import type { DotForm } from "./forms.js";
import type { ProofRequest } from "./proof-child.js";

export interface Proof {
  readonly holds: boolean;
  /** in words, as the end of a sentence */
  readonly reason: string;
}

export interface ProofOptions {
  readonly signal?: AbortSignal | undefined;
  /** of the process that proves; it takes 0.8 s of processor time */
  readonly limitMs?: number;
}

const LIMIT_MS = 30_000;
const HOUR_MS = 60 * 60 * 1000;
/** Flags that failed are tried again after a day, since the machine may have been short of memory; a hang may have been a busy one. */
const RETRY_MS = { failed: 24 * HOUR_MS, hung: HOUR_MS } as const;
/** Counts up when the proof itself asks for more than before. */
const VERSION = 1;

/** A proof on its way: a program that takes the place of `node` must not start itself again. */
const RUNNING = "TERNION_PROVES_V8_FLAGS";
/** Options that change how V8 compiles: what is proven without them says nothing of a process with them. */
const COMPILER_OPTION = /^--.*(wasm(?![-_]modules)|liftoff|turbo|jit|stress|fuzz|single[-_]threaded|predictable)/;

/** What a verdict is about. */
interface Case {
  readonly version: number;
  readonly node: string;
  readonly v8: string;
  readonly machine: string;
  /** SHA-256 of the WebAssembly binary */
  readonly binary: string;
  readonly flags: readonly string[];
}

interface Verdict extends Proof {
  readonly about: Case;
  /** until when it counts, in milliseconds since 1970; absent: always */
  readonly until?: number;
}

/** Verdicts of this process, by file or name: for a cache folder that cannot be written. */
const known = new Map<string, Proof>();

/** Proves `flags` for the binary at `path`, whose `forms` of the dot are to give the sums of the baseline binary. */
export async function prove(
  path: URL,
  flags: readonly string[],
  forms: readonly DotForm[],
  { signal, limitMs = LIMIT_MS }: ProofOptions = {},
): Promise<Proof> {
  if (flags.length === 0) return { holds: true, reason: "there is nothing to prove" };
  const obstacle = obstacleOf(process);
  if (obstacle !== undefined) return { holds: false, reason: obstacle };
  const about = await caseOf(path, flags);
  const name = createHash("sha256").update(JSON.stringify(about)).digest("hex");
  const file = verdictFile(name);
  const verdict = known.get(file ?? name) ?? (await readVerdict(file, about));
  if (verdict !== undefined) return verdict;
  const { proof, countsMs } = await runProof({ path: fileURLToPath(path), flags, forms }, limitMs, signal);
  if (countsMs > 0) {
    known.set(file ?? name, proof);
    await keepVerdict(file, { about, ...proof, ...(!proof.holds && { until: Date.now() + countsMs }) });
  }
  return proof;
}

/** Why no flags are used whatever a proof would say. */
function obstacleOf({ env, release, versions, execArgv }: NodeJS.Process): string | undefined {
  if (env.TERNION_V8_FLAGS === "0") return "TERNION_V8_FLAGS is 0";
  if (env[RUNNING] !== undefined) return "a proof of them is running";
  const others = ["bun", "deno", "electron"].filter((name) => name in versions);
  if (release?.name !== "node" || others.length > 0)
    return `they are for Node.js, not for ${others[0] ?? "this engine"}`;
  const options = [...execArgv, ...(env.NODE_OPTIONS ?? "").split(/\s+/)];
  const option = options.find((each) => COMPILER_OPTION.test(each));
  return option && `Node.js was started with ${option}`;
}

async function caseOf(path: URL, flags: readonly string[]): Promise<Case> {
  const { version: node, versions, platform, arch } = process;
  const binary = createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
  const machine = [platform, arch, cpus()[0]?.model ?? "processor unknown"].join(" ");
  return { version: VERSION, node, v8: versions.v8, machine, binary, flags };
}

/** Undefined for a user without a home. */
function verdictFile(name: string): string | undefined {
  try {
    return join(cacheDirectory(), "v8-flags", `${name.slice(0, 32)}.json`);
  } catch {
    return undefined;
  }
}

async function readVerdict(file: string | undefined, about: Case): Promise<Proof | undefined> {
  if (file === undefined) return undefined;
  try {
    const verdict = JSON.parse(await readFile(file, "utf8")) as Partial<Verdict>;
    const { holds, reason, until } = verdict;
    if (!isDeepStrictEqual(verdict.about, about) || typeof reason !== "string") return undefined;
    const left = Number(until) - Date.now();
    if (holds === true || (holds === false && left > 0 && left <= RETRY_MS.failed)) return { holds, reason };
  } catch {
    // absent, unreadable or damaged
  }
  return undefined;
}

/** Whole or not at all; where it cannot be written, the next process proves again. */
async function keepVerdict(file: string | undefined, verdict: Verdict): Promise<void> {
  if (file === undefined) return;
  try {
    await makeFolder(dirname(file));
    await writeWhole(file, (part) => part.writeFile(`${JSON.stringify(verdict, undefined, 2)}\n`));
  } catch {
    // a folder that cannot be written
  }
}

interface Outcome {
  readonly proof: Proof;
  /** 0 where it is not about the flags: a process that could not be started, or that somebody ended */
  readonly countsMs: number;
}

async function runProof(request: ProofRequest, limitMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
  // a program with Node.js inside would start itself, and not Node.js
  if (!/^node/i.test(basename(process.execPath))) return unknown(`no Node.js to try them in: ${process.execPath}`);
  const child = fileURLToPath(packageFile("dist/src/backend/cpu/choice/proof-child.js"));
  const outcome = await new Promise<Outcome>((resolve) => {
    const limits = { timeout: limitMs, killSignal: "SIGKILL", ...(signal && { signal }) } as const;
    const options = { ...limits, env: environment(), cwd: tmpdir(), windowsHide: true };
    try {
      execFile(process.execPath, [child, JSON.stringify(request)], options, (error, stdout, stderr) => {
        resolve(outcomeOf(error, stdout, stderr, limitMs));
      });
    } catch (error) {
      resolve(unknown(`the process to try them in did not start: ${(error as Error).message}`));
    }
  });
  signal?.throwIfAborted();
  return outcome;
}

/** Without what changes how Node.js runs. */
function environment(): NodeJS.ProcessEnv {
  const plain = Object.entries(process.env).filter(([name]) => !name.toUpperCase().startsWith("NODE_"));
  return { ...Object.fromEntries(plain), [RUNNING]: "1" };
}

const unknown = (reason: string): Outcome => ({ proof: { holds: false, reason }, countsMs: 0 });
const CRASHES: readonly unknown[] = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP"];

function outcomeOf(error: ExecFileException | null, stdout: string, stderr: string, limitMs: number): Outcome {
  const no = (reason: string, countsMs = RETRY_MS.failed): Outcome => ({ proof: { holds: false, reason }, countsMs });
  // V8 names a flag that it does not know on stderr
  if (error === null && stdout === "same") {
    if (stderr === "")
      return { proof: { holds: true, reason: "all results were right" }, countsMs: Number.POSITIVE_INFINITY };
    return no(`V8 said ${JSON.stringify(stderr.slice(0, 200))}`);
  }
  if (stdout === "different") return no("kernels gave wrong results");
  const { code, signal, killed, message } = error ?? {};
  if (killed) return no(`the process that tried them did not end within ${limitMs / 1000} s`, RETRY_MS.hung);
  if (CRASHES.includes(signal)) return no(`the process that tried them crashed with ${signal}`);
  if (typeof code === "number" && signal == null) return no(`the process that tried them ended with code ${code}`);
  return unknown(`the process to try them in did not start or was ended: ${signal ?? message ?? "no answer"}`);
}
