/**
 * The V8 flags that pay, and compiling under them. A flag that V8 does not expect can end the process: none is set here
 * before proof.ts has shown, in a process of its own, that this V8 can compile and run these kernels with it.
 */
import { createHash } from "node:crypto";
import v8 from "node:v8";

export type Binary = "relaxed" | "baseline";

const nodeMajor = Number.parseInt(process.versions.node, 10);

/** The optimising compiler alone and at once: what the flag of another feature is about must hold while it compiles. */
const OPTIMISED = ["--no-liftoff", "--no-wasm-lazy-compilation"];

/**
 * Node.js 20 has relaxed SIMD behind a flag, and its baseline compiler (Liftoff) gives wrong sums of relaxed dots; later
 * versions need no flag, and are as fast without (docs/node.md). Without Liftoff V8 has no feedback to inline by, which
 * Node.js 26 takes for a fatal error; the kernels have nothing to inline.
 */
export function usefulFlags(binary: Binary, revectorize: boolean): readonly string[] {
  if (revectorize && nodeMajor >= 24) {
    return [...OPTIMISED, "--no-wasm-inlining", "--experimental-wasm-revectorize"];
  }
  return binary === "relaxed" && nodeMajor < 22 ? ["--experimental-wasm-relaxed-simd", ...OPTIMISED] : [];
}

/** The module, compiled with flags that hold for this one synchronous call. */
export function compileUnder(bytes: Uint8Array, flags: readonly string[]): WebAssembly.Module {
  if (flags.length === 0) return new WebAssembly.Module(bytes as BufferSource);
  try {
    for (const flag of flags) v8.setFlagsFromString(flag);
    return new WebAssembly.Module(named(bytes, flags) as BufferSource);
  } finally {
    for (const flag of flags) v8.setFlagsFromString(opposite(flag));
  }
}

const opposite = (flag: string) => (flag.startsWith("--no-") ? `--${flag.slice(5)}` : `--no-${flag.slice(2)}`);

/**
 * The binary with a custom section that names the flags: V8 gives the code of an earlier compilation, whatever its flags, to
 * bytes that it has seen before.
 */
function named(bytes: Uint8Array, flags: readonly string[]): Uint8Array {
  const name = createHash("sha256").update(flags.join(" ")).digest("hex").slice(0, 16);
  return Buffer.concat([bytes, Buffer.from([0, name.length + 1, name.length]), Buffer.from(name)]);
}
