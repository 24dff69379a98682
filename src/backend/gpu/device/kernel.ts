/**
 * What the parts of the GPU backend say to each other: a `Kernel` is a WGSL entry point with the names of what it is given,
 * a `Call` is one dispatch of it. The kernels of `kernels/` make calls, `device.ts` turns them into GPU commands.
 *
 * In WGSL, group 0 holds everything: binding 0 is the uniform `params: Params`, whose fields are the kernel's `params` in
 * their order (4 bytes each), and bindings 1, 2, ... are the storage buffers named in `bindings`, in their order.
 */

export interface Kernel {
  /** unique, and what profiles show: "ternary", "ternary (tile)" */
  readonly name: string;
  /** files of `wgsl/` without ".wgsl", "attend/combine"; their texts are joined in this order, some in another form (features.ts) */
  readonly files: readonly string[];
  readonly entryPoint: string;
  /** constants of type u32 that the files use and do not define */
  readonly constants: Readonly<Record<string, number>>;
  readonly params: readonly Param[];
  readonly bindings: readonly Binding[];
}

export interface Param {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
}

export interface Binding {
  readonly name: string;
  readonly access: "read" | "read_write";
}

/** A part of a buffer: `offset` a multiple of 256, `size` a multiple of 4, both in bytes. */
export interface Window {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** One dispatch. Every param and binding of the kernel is named. */
export interface Call {
  readonly kernel: Kernel;
  readonly params: Readonly<Record<string, number>>;
  readonly bindings: Readonly<Record<string, Window>>;
  /** of weights that it reads, for profiles */
  readonly bytes?: number;
  /** workgroups; each at most 65,535 */
  readonly grid: readonly [x: number, y: number, z: number];
}

/** What runs calls and moves bytes: a device (device.ts), as a check of a kernel needs it. */
export interface Executor {
  allocate(bytes: number, what: string): Promise<GPUBuffer>;
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void;
  execute(calls: readonly Call[]): Promise<void>;
  readBack(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer>;
}
