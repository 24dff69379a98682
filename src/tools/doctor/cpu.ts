/** What the CPU backend finds here: SIMD, shared memory, and the kernel that it will use, with the reason. */
import { relaxedSimd, simd, threads } from "wasm-feature-detect";
import type { DotForm, Trial } from "../../backend/cpu/choice/forms.js";

/** What the CPU backend finds here. */
export interface CpuFindings {
  /** 128-bit SIMD, which the backend needs */
  readonly simd: boolean;
  /** relaxed SIMD; in Node.js 20 behind a flag, which holds here */
  readonly relaxedSimd: boolean;
  /** SharedArrayBuffer and WebAssembly threads, which the backend needs */
  readonly sharedMemory: boolean;
  /** "relaxed SIMD, int16 dot"; absent where no kernel runs */
  readonly kernel?: string;
  /** why that kernel, or why none */
  readonly reason: string;
  readonly trials: readonly Trial[];
}

/** What of the tuning the doctor is to try. */
export interface CpuQuestion {
  readonly kernel?: DotForm | undefined;
  readonly revectorize?: boolean | undefined;
}

export async function examineCpu({ kernel: form, revectorize }: CpuQuestion): Promise<CpuFindings> {
  const found = { simd: await simd(), sharedMemory: typeof SharedArrayBuffer === "function" && (await threads()) };
  const { chooseKernels } = await import("../../backend/cpu/choice/choose.js");
  try {
    const { description, dot, trials, refused } = await chooseKernels({ form, revectorize });
    const relaxed = trials.some((each) => each.dot !== "ternaryDotBaseline") || (await relaxedSimd());
    const chosen = form === undefined ? reasonOf(dot, trials, relaxed) : "asked for, and its sums are exact";
    const reason = [chosen, ...(refused === undefined ? [] : [refused])].join("; ");
    return { ...found, relaxedSimd: relaxed, kernel: description, reason, trials };
  } catch (error) {
    return { ...found, relaxedSimd: await relaxedSimd(), reason: (error as Error).message, trials: [] };
  }
}

function reasonOf(chosen: DotForm, trials: readonly Trial[], relaxed: boolean): string {
  if (chosen === "ternaryDotBaseline") {
    return relaxed
      ? "no form of relaxed SIMD gave exact sums in its self-test"
      : "this Node.js has no relaxed SIMD without a flag; from version 22 on it has";
  }
  const time = (ms: number) => (Number.isFinite(ms) ? `${ms.toFixed(2)} ms` : "not optimised in time");
  const times = trials.map(({ dot, exact, ms }) => `${dot} ${exact ? time(ms) : "wrong sums"}`);
  return `relaxed SIMD is there; of its forms the fastest with exact sums: ${times.join(", ")}`;
}
