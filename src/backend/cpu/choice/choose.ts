/**
 * Which kernels this machine and this Node.js run: relaxed SIMD where it is right, else baseline SIMD, and of the forms of
 * the ternary dot the fastest. Nothing here can end the process: V8 flags are used only where proof.ts has shown that they hold.
 */
import { relaxedSimd, simd, threads } from "wasm-feature-detect";
import { TernionError } from "../../../errors.js";
import { packageBytes, packageFile } from "../../../platform/package.js";
import { type Binary, compileUnder, usefulFlags } from "./flags.js";
import type { DotForm, Trial } from "./forms.js";
import { prove } from "./proof.js";
import { tryForms } from "./trial.js";

export interface KernelChoice {
  readonly module: WebAssembly.Module;
  readonly dot: DotForm;
  /** "relaxed SIMD, int16 dot" */
  readonly description: string;
  /** the forms that were tried, in order */
  readonly trials: readonly Trial[];
  /** V8 flags that the module was compiled under */
  readonly flags: readonly string[];
  /** why flags that would pay were not used */
  readonly refused?: string;
}

/** The forms in each binary. */
const FORMS: Readonly<Record<Binary, readonly DotForm[]>> = {
  relaxed: ["ternaryDot16", "ternaryDot32"],
  baseline: ["ternaryDotBaseline"],
};

const DESCRIPTIONS: Readonly<Record<DotForm, string>> = {
  ternaryDot16: "relaxed SIMD, int16 dot",
  ternaryDot32: "relaxed SIMD, int32 dot",
  ternaryDotBaseline: "baseline SIMD",
};

export interface KernelOptions {
  /** force one form of the dot (for tests and comparisons); it still has to pass its self-test */
  readonly form?: DotForm | undefined;
  /** let V8 pair 128-bit operations into 256-bit ones: experimental there, from Node.js 24 on; ignored before */
  readonly revectorize?: boolean | undefined;
  /** V8 flags to compile under if they hold; default: those that pay on this Node.js */
  readonly flags?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export async function chooseKernels(options: KernelOptions = {}): Promise<KernelChoice> {
  // V8 leaves all of it out under --jitless
  if (typeof WebAssembly === "undefined" || !(await simd()) || !(await threads())) {
    throw new TernionError(
      "BACKEND_UNAVAILABLE",
      "The CPU backend needs WebAssembly with SIMD and threads, which this JavaScript engine lacks. Use Node.js 20 or later, without --jitless.",
    );
  }
  const { form } = options;
  const trials: Trial[] = [];
  let refused: string | undefined;
  for (const binary of ["relaxed", "baseline"] as const) {
    const forms = FORMS[binary].filter((dot) => form === undefined || dot === form);
    const candidate = forms.length > 0 ? await compile(binary, options) : undefined;
    refused ??= candidate?.refused;
    if (candidate?.module === undefined) continue;
    const { module, flags } = candidate;
    const tried = await tryForms(module, forms, flags.includes("--no-liftoff"));
    trials.push(...tried);
    const sound = tried.filter(({ exact }) => exact);
    if (sound.length === 0) continue;
    const { dot } = sound.reduce((best, next) => (next.ms < best.ms ? next : best));
    const wide = flags.includes("--experimental-wasm-revectorize");
    const description = `${DESCRIPTIONS[dot]}${wide ? ", revectorized" : ""}`;
    return { module, dot, description, trials, flags, ...(refused !== undefined && { refused }) };
  }
  throw new TernionError(
    "BACKEND_UNAVAILABLE",
    `CPU kernels: expected exact sums in the self-test of ${form ?? "some form"}, got none that passes` +
      `${refused === undefined ? "" : `; ${refused}`}. Use another version of Node.js.`,
  );
}

/** Of this process: V8 keeps one code for the same bytes anyway. */
const modules = new Map<string, WebAssembly.Module>();

function compiled(binary: Binary, bytes: Uint8Array, flags: readonly string[]): WebAssembly.Module {
  const name = [binary, ...flags].join(" ");
  const module = modules.get(name) ?? compileUnder(bytes, flags);
  modules.set(name, module);
  return module;
}

interface Compiled {
  /** absent where this engine cannot run the binary */
  readonly module?: WebAssembly.Module;
  readonly flags: readonly string[];
  readonly refused?: string;
}

async function compile(
  binary: Binary,
  { revectorize = false, flags: asked, signal }: KernelOptions,
): Promise<Compiled> {
  const file = `dist/asm/kernels.${binary}.wasm`;
  const [path, bytes] = [packageFile(file), await packageBytes(file)];
  const useful = asked ?? usefulFlags(binary, revectorize);
  const proof = await prove(path, useful, FORMS[binary], { signal });
  const flags = proof.holds ? useful : [];
  const refused = proof.holds ? {} : { refused: `V8 flags ${useful.join(" ")} are not used: ${proof.reason}` };
  // without flags, relaxed dots are wrong in Node.js 20 even where the caller's flags have switched relaxed SIMD on
  const runs =
    binary === "baseline" || flags.length > 0 || (usefulFlags(binary, false).length === 0 && (await relaxedSimd()));
  return { ...(runs && { module: compiled(binary, bytes, flags) }), flags, ...refused };
}
