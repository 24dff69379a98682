/**
 * The roof: bytes a second that threads can read from memory, by a WebAssembly kernel that loads 64 bytes a step and
 * keeps nothing of them but their OR. Each thread reads its own half of an area far larger than the caches, as the
 * kernels of a token do.
 */
import v8 from "node:v8";
import asc from "assemblyscript/asc";
import { chooseKernels } from "../src/backend/cpu/kernels.js";
import { KernelGang } from "./kernels/gang.js";
import { median } from "./statistics.js";

const SOURCE = `
export function read(from: usize, bytes: usize): i32 {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (const end = from + bytes; from < end; from += 64) {
    a = v128.or(a, v128.load(from));
    b = v128.or(b, v128.load(from, 16));
    c = v128.or(c, v128.load(from, 32));
    d = v128.or(d, v128.load(from, 48));
  }
  return i32(v128.any_true(v128.or(v128.or(a, b), v128.or(c, d))));
}`;

/** The module of `read`; it imports the memory. */
export async function compileRead(): Promise<WebAssembly.Module> {
  const options = ["--runtime", "stub", "--importMemory", "--sharedMemory", "--enable", "simd,threads", "-O3"];
  const memory = ["--initialMemory", "1", "--maximumMemory", "65536", "--noAssert"];
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(["read.ts", "-o", "read.wasm", ...options, ...memory], {
    readFile: (name) => (name === "read.ts" ? SOURCE : null),
    writeFile: (_name, contents) => {
      binary = contents as Uint8Array;
    },
  });
  if (error !== null || binary === undefined) throw new Error(`read kernel: ${stderr.toString()}`);
  // the optimising compiler only, as for the kernels
  v8.setFlagsFromString("--no-liftoff");
  v8.setFlagsFromString("--no-wasm-lazy-compilation");
  try {
    return new WebAssembly.Module(binary as Uint8Array<ArrayBuffer>);
  } finally {
    v8.setFlagsFromString("--liftoff");
    v8.setFlagsFromString("--wasm-lazy-compilation");
  }
}

/** Bytes a second in a process that has no gang yet. */
export async function readBandwidth(threads: number): Promise<number> {
  const bytes = 256 << 20;
  const memory = new WebAssembly.Memory({ initial: bytes / 65_536 + 1, maximum: 65_536, shared: true });
  const kernels = await chooseKernels();
  const gang = await KernelGang.start({ memory, modules: [kernels.module, await compileRead()], control: 0 }, threads);
  try {
    return measureRead(gang, 65_536, bytes, 9);
  } finally {
    await gang.close();
  }
}

/** Bytes a second over `bytes` bytes at `address` by all threads of the gang; median of `repetitions`. */
export function measureRead(gang: KernelGang, address: number, bytes: number, repetitions: number): number {
  const share = bytes / gang.threads;
  const calls = Array.from({ length: gang.threads }, (_, i) => [
    { kernel: "read", args: [address + i * share, share] },
  ]);
  new Uint8Array(gang.setup.memory.buffer, address, bytes).fill(1); // so that every page exists
  return gang.with(calls, () => {
    gang.run();
    const rates = Array.from({ length: repetitions }, () => {
      const start = performance.now();
      gang.run();
      return (1000 * bytes) / (performance.now() - start);
    });
    return median(rates);
  });
}
