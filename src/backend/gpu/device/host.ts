/** What a device needs of the machine that it runs on: platform/webgpu.ts has that of Node.js, a browser has it built in. */
export interface GpuHost {
  /**
   * WebGPU, with its globals in place; `adapter`, where the host can choose, is a part of an adapter's name. Rejects with
   * BACKEND_UNAVAILABLE where there is none.
   */
  create(adapter?: string): Promise<GPU>;
  /** the text of a file of `wgsl/`: "attend/combine.wgsl" */
  shader(path: string): Promise<string>;
}
