/** What this machine and this process are, for reports: hardware and versions, nothing that was measured. */
import { readFileSync } from "node:fs";
import { cpus, freemem, release, totalmem } from "node:os";
import { packageVersion } from "./package.js";
import { availableProcessors } from "./processors.js";

/** The machine as far as speed depends on it. */
export interface Machine {
  /** model of the processor, as the system names it */
  readonly cpu: string;
  /** processors that this process may use, by its affinity and its container's quota */
  readonly cores: number;
  /** processors of the machine, whether or not this process may use them */
  readonly processors: number;
  /** vector instructions of the processor by their names in /proc/cpuinfo; empty where the system lists none */
  readonly cpuFeatures: readonly string[];
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  /** "linux x64 6.1.0" */
  readonly system: string;
  readonly node: string;
  readonly v8: string;
  readonly ternion: string;
  /** ISO 8601, UTC */
  readonly date: string;
}

/** Vector instructions that V8 or the next processor's owner cares for. */
const FEATURES =
  /^(?:ssse3|sse4_[12]|avx2?|fma|f16c|avx_?512_?(?:f|bw|vl|vnni)|avx_vnni|avx512_vnni|asimd|asimddp|i8mm|sve2?)$/;

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableProcessors(),
    processors: cpus().length,
    cpuFeatures: cpuFeatures(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    system: `${process.platform} ${process.arch} ${release()}`,
    node: process.versions.node,
    v8: process.versions.v8,
    ternion: packageVersion(),
    date: new Date().toISOString(),
  };
}

function cpuFeatures(): string[] {
  try {
    const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
    return flags.split(" ").filter((flag) => FEATURES.test(flag));
  } catch {
    return [];
  }
}
