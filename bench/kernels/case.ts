/** One kernel at one shape: where its operands lie, what each thread calls, and what must come out. */
import type { Kernels } from "../../src/backend/cpu/kernels.js";
import type { Call } from "./thread-pool.js";

export interface KernelCase {
  readonly kernel: string;
  /** "6912 x 2560, 29 matrices" */
  readonly shape: string;
  /** multiplications with an addition, of one run; 0 where the kernel is not about them */
  readonly macs: number;
  /** bytes of weights, cache or rows that one run reads */
  readonly bytes: number;
  /** the calls of each thread */
  calls(threads: number): Call[][];
  /** Puts inputs and outputs into their first state. */
  reset(): void;
  /** Throws unless the outputs of one run after `reset` are those of a plain loop. */
  check(): void;
}

/** Makes a case in `space`, which is empty; `kernels` serve to pack operands. */
export type CaseMaker = (space: Space, kernels: Kernels) => KernelCase;

/** Shared memory with a bump allocator and views. */
export class Space {
  readonly memory: WebAssembly.Memory;
  readonly #begin: number;
  #end: number;

  /** The first `reserved` bytes stay out of it. */
  constructor(bytes: number, reserved: number) {
    const pages = Math.ceil(bytes / 65_536);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 65_536, shared: true });
    this.#begin = Math.ceil(reserved / 64) * 64;
    this.#end = this.#begin;
  }
  /** Frees all. */
  clear(): void {
    this.#end = this.#begin;
  }
  allocate(bytes: number): number {
    const address = this.#end;
    this.#end += Math.ceil(bytes / 64) * 64;
    if (this.#end <= this.memory.buffer.byteLength) return address;
    throw new RangeError(`space: expected ${this.memory.buffer.byteLength} bytes to do, got ${this.#end}`);
  }
  put(data: Int8Array | Uint8Array | Float32Array | Uint16Array): number {
    const address = this.allocate(data.byteLength);
    this.u8(address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return address;
  }
  /** Address of `count` copies of the `bytes` at `from`, the first of which is there already. */
  repeat(from: number, bytes: number, count: number): number {
    const rest = this.allocate(bytes * (count - 1));
    if (rest !== from + bytes) throw new RangeError("repeat: expected the newest allocation, in whole lines");
    const all = this.u8(from, bytes * count);
    for (let i = 1; i < count; i++) all.copyWithin(i * bytes, 0, bytes);
    return from;
  }
  u8 = (address: number, length: number) => new Uint8Array(this.memory.buffer, address, length);
  i8 = (address: number, length: number) => new Int8Array(this.memory.buffer, address, length);
  i32 = (address: number, length: number) => new Int32Array(this.memory.buffer, address, length);
  f32 = (address: number, length: number) => new Float32Array(this.memory.buffer, address, length);
}

/** Throws where got[i] differs from want[i] by more than `tolerance`. */
export function expectValues(
  what: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number | ((i: number) => number) = 0,
): void {
  for (let i = 0; i < want.length; i++) {
    const allowed = typeof tolerance === "number" ? tolerance : tolerance(i);
    if (Math.abs(got[i] - want[i]) <= allowed) continue;
    throw new Error(`${what}: expected ${want[i]} +- ${allowed} at ${i}, got ${got[i]}`);
  }
}
