/** Engines as the benchmarks load them, and runs whose times are comparable. */
import { parseArgs } from "node:util";
import { collect, Engine, type EngineOptions, type OpTime, type Session, type Tuning } from "../src/index.js";
import { COMMON, choice } from "./options.js";

export const ENGINE = {
  ...COMMON,
  head: { type: "string" },
  kv: { type: "string" },
  revectorize: { type: "boolean", default: false },
} as const;
const ARGUMENTS = parseArgs({ options: ENGINE, strict: false }).values;

/** What the command line says of the tuning; else the engine's own defaults, so that a result can name them. */
export function tuningOptions() {
  const text = (value: string | boolean | undefined) => (typeof value === "string" ? value : undefined);
  return {
    head: choice("head", text(ARGUMENTS.head), ["exact", "f16", "int8"]) ?? "exact",
    kv: choice("kv", text(ARGUMENTS.kv), ["f32", "i16"]) ?? "i16",
    revectorize: ARGUMENTS.revectorize === true,
  } satisfies Tuning;
}

/** "decode" with what differs from the defaults: "decode-int8", "decode-f32". */
export function resultName(what: string): string {
  const { head, kv, revectorize } = tuningOptions();
  const parts = [head === "exact" ? "" : head, kv === "i16" ? "" : kv, revectorize ? "revectorize" : ""];
  return [what, ...parts.filter((part) => part !== "")].join("-");
}

export function loadEngine(path: string, options: EngineOptions): Promise<Engine> {
  return Engine.load(path, { backend: "cpu", maxSessions: 1, tuning: tuningOptions(), ...options });
}

/** Tokens a second of `tokens` greedy tokens after a prompt that the session may hold already; the first is not counted. */
export async function generationRate(session: Session, ids: readonly number[], tokens: number): Promise<number> {
  const options = { maxTokens: tokens + 1, ignoreEnd: true, temperature: 0 };
  const { finish } = await collect(session.generate(ids, options));
  return finish.timings.tokensPerSecond;
}

/** Prompt tokens a second from an empty cache. */
export async function promptRate(session: Session, ids: readonly number[]): Promise<number> {
  session.reset();
  const { finish } = await collect(session.generate(ids, { maxTokens: 0 }));
  return (1000 * ids.length) / finish.timings.promptMs;
}

export interface OpShare {
  readonly op: string;
  /** per token */
  readonly ms: number;
  readonly calls: number;
}

/** A profile over `tokens` tokens, the largest op first. */
export function perToken(profile: readonly OpTime[], tokens: number): OpShare[] {
  return profile
    .map(({ op, ms, calls }) => ({ op, ms: ms / tokens, calls: calls / tokens }))
    .sort((a, b) => b.ms - a.ms);
}
