/** One WebGPU device: its pipelines, buffers, copies, and what goes wrong with it. Lives in the device's thread. */
import { TernionError } from "../../../errors.js";
import { type AdapterChoice, describe, type OpenAdapter, openAdapter } from "./adapter.js";
import { type Feature, formsOf, offered, subgroupSize, webgpuFeatures } from "./features.js";
import type { GpuHost } from "./host.js";
import type { Call, Kernel, Window } from "./kernel.js";
import { subgroupMatricesWork } from "./subgroup-matrices.js";

export interface DeviceChoice extends AdapterChoice {
  /** what kernels do without even where the adapter has it; default: nothing */
  readonly without?: readonly Feature[] | undefined;
}

/** Limits that are raised to what the adapter has. */
const RAISED = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** What the kernels need; all known adapters have it. */
const NEEDED = { maxStorageBuffersPerShaderStage: 10, maxComputeInvocationsPerWorkgroup: 256 } as const;

export class Device {
  readonly gpu: GPUDevice;
  readonly #name: string;
  readonly software: boolean;
  /** the first error: the device is lost, or has reported one */
  #fault: TernionError | undefined;
  /** the waits that a fault ends */
  readonly #waits = new Set<(error: TernionError) => void>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #sources = new Map<string, Promise<string>>();
  readonly #host: GpuHost;
  /** what kernels use */
  readonly #features: Set<Feature>;
  /** lanes; 0 without subgroups */
  readonly #subgroup: number;
  #closed = false;

  static async open(choice: DeviceChoice, host: GpuHost): Promise<Device> {
    const opened = await openAdapter(choice, host);
    const { adapter } = opened;
    for (const [name, least] of Object.entries(NEEDED)) {
      const got = adapter.limits[name as keyof typeof NEEDED];
      if (got < least) {
        throw new TernionError(
          "BACKEND_UNAVAILABLE",
          `GPU ${describe(adapter.info)}: expected ${name} of at least ${least}, got ${got}. Use the CPU backend.`,
        );
      }
    }
    const features = offered(adapter, choice.without);
    const requiredFeatures = webgpuFeatures(features);
    if (adapter.features.has("timestamp-query")) requiredFeatures.push("timestamp-query");
    const limits = Object.fromEntries(RAISED.map((name) => [name, adapter.limits[name]]));
    const gpu = await adapter.requestDevice({ requiredFeatures, requiredLimits: limits });
    const device = new Device(gpu, opened, { features, host });
    if (device.#features.has("subgroup matrices") && !(await subgroupMatricesWork(device)))
      device.#features.delete("subgroup matrices");
    return device;
  }

  private constructor(
    gpu: GPUDevice,
    { adapter, software }: OpenAdapter,
    { features, host }: { features: readonly Feature[]; host: GpuHost },
  ) {
    this.gpu = gpu;
    this.software = software;
    this.#name = describe(adapter.info);
    this.#features = new Set(features);
    this.#subgroup = subgroupSize(adapter) ?? 0;
    this.#host = host;
    gpu.lost.then(({ reason, message }) => {
      if (this.#closed) return;
      this.#fail(
        new TernionError(
          "DEVICE_LOST",
          `The GPU device was lost (${reason}): ${message || "no reason given"}. Load the model again.`,
        ),
      );
    });
    gpu.onuncapturederror = ({ error }) => {
      if (this.#closed) return;
      const memory = error instanceof GPUOutOfMemoryError;
      const code = memory ? "OUT_OF_MEMORY" : "BACKEND_FAILED";
      this.#fail(new TernionError(code, `The GPU reports: ${error.message}. Load the model again.`));
    };
  }

  /** "nvidia-h200, subgroups, subgroup matrices" */
  get description(): string {
    return [`${this.#name}${this.software ? " (software)" : ""}`, ...this.#features].join(", ");
  }

  /** What kernels use beside core WebGPU. */
  get features(): ReadonlySet<Feature> {
    return this.#features;
  }

  /** Most bytes of one binding, and of one buffer: a multiple of 256. */
  get maxWindow(): number {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.gpu.limits;
    return Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 256) * 256;
  }

  /**
   * A buffer of zeros for the kernels, of which one sees `bound` bytes at a time; rejects with OUT_OF_MEMORY when the device
   * has not that much.
   */
  async allocate(bytes: number, what: string, bound = 0): Promise<GPUBuffer> {
    const size = Math.ceil(bytes / 4) * 4;
    const { maxBufferSize } = this.gpu.limits;
    const refused = (reason: string) =>
      new TernionError(
        "OUT_OF_MEMORY",
        `${what}: expected ${size} bytes of GPU memory, got none: ${reason}. ` +
          "Use a smaller context, fewer sessions, a smaller batch, or the CPU backend.",
      );
    if (size > maxBufferSize) throw refused(`this adapter's buffers end at ${maxBufferSize} bytes`);
    if (bound > this.maxWindow) throw refused(`this adapter's kernels see at most ${this.maxWindow} bytes of it`);
    this.gpu.pushErrorScope("out-of-memory");
    this.gpu.pushErrorScope("validation");
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.gpu.createBuffer({ label: what, size, usage });
    const errors = await this.#orFail(Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]));
    const error = errors.find((error) => error !== null);
    if (error) throw refused(error.message);
    return buffer;
  }

  /** Copies `data` to `offset` (a multiple of 4) of the buffer; bytes beyond a multiple of 4 are padded with zeros. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const whole = Math.floor(bytes.length / 4) * 4;
    if (whole > 0) this.gpu.queue.writeBuffer(buffer, offset, bytes, 0, whole);
    if (whole === bytes.length) return;
    const rest = new Uint8Array(4);
    rest.set(bytes.subarray(whole));
    this.gpu.queue.writeBuffer(buffer, offset + whole, rest);
  }

  /** When all that was submitted is done. */
  async done(): Promise<void> {
    await this.#orFail(this.gpu.queue.onSubmittedWorkDone());
  }

  /** The bytes of a buffer with MAP_READ, when the work that was submitted for it is done. */
  async mapped(buffer: GPUBuffer): Promise<ArrayBuffer> {
    await this.#orFail(buffer.mapAsync(GPUMapMode.READ));
    const bytes = buffer.getMappedRange().slice(0);
    buffer.unmap();
    return bytes;
  }

  /** A copy of bytes of a buffer, after all that was submitted; any offset and size. */
  async readBack(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    if (size === 0) return new ArrayBuffer(0);
    const first = Math.floor(offset / 4) * 4;
    const length = Math.ceil((offset + size - first) / 4) * 4;
    const staging = this.gpu.createBuffer({ size: length, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = this.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, first, staging, 0, length);
    this.gpu.queue.submit([encoder.finish()]);
    const bytes = await this.mapped(staging);
    staging.destroy();
    return bytes.slice(offset - first, offset - first + size);
  }

  /** Compiles a kernel once. Rejects with SHADER, the file, the line and the compiler's words. */
  pipeline(kernel: Kernel): Promise<GPUComputePipeline> {
    const key = `${kernel.name} ${kernel.files} ${kernel.entryPoint} ${JSON.stringify(kernel.constants)}`;
    const known = this.#pipelines.get(key) ?? this.#compile(kernel);
    this.#pipelines.set(key, known);
    return known;
  }

  /** Bind groups of calls, in their order; their params share one buffer. */
  async bindGroups(calls: readonly Call[]): Promise<GPUBindGroup[]> {
    const { minUniformBufferOffsetAlignment: stride } = this.gpu.limits;
    const size = Math.max(1, calls.length) * stride;
    const uniforms = this.gpu.createBuffer({ size, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const params = new Uint8Array(size);
    calls.forEach((call, i) => {
      params.set(packParams(call.kernel, call.params), i * stride);
    });
    this.write(uniforms, 0, params);
    return Promise.all(
      calls.map(async ({ kernel, bindings }, i) => {
        const windows = kernel.bindings.map(({ name }) => {
          const window = bindings[name];
          if (window === undefined) throw new TypeError(`${kernel.name}: binding ${name} is missing`);
          return window;
        });
        const own: Window = { buffer: uniforms, offset: i * stride, size: paramBytes(kernel) };
        return this.gpu.createBindGroup({
          label: kernel.name,
          layout: (await this.pipeline(kernel)).getBindGroupLayout(0),
          entries: [own, ...windows].map((resource, binding) => ({ binding, resource })),
        });
      }),
    );
  }

  /** Executes calls in their order, and waits: for tests and single computations. */
  async execute(calls: readonly Call[]): Promise<void> {
    const groups = await this.bindGroups(calls);
    const pipelines = await Promise.all(calls.map(({ kernel }) => this.pipeline(kernel)));
    this.gpu.pushErrorScope("validation");
    const encoder = this.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    calls.forEach(({ grid }, i) => {
      pass.setPipeline(pipelines[i]);
      pass.setBindGroup(0, groups[i]);
      pass.dispatchWorkgroups(...grid);
    });
    pass.end();
    this.gpu.queue.submit([encoder.finish()]);
    const error = await this.#orFail(this.gpu.popErrorScope());
    if (error) throw new TernionError("BACKEND_FAILED", `The GPU refuses the commands: ${error.message}`);
    await this.done();
  }

  close(): void {
    this.#closed = true;
    this.#fail(new TernionError("CLOSED", "The device is closed."));
    this.gpu.destroy();
  }

  async #compile(kernel: Kernel): Promise<GPUComputePipeline> {
    const { name, entryPoint, constants } = kernel;
    const { files, enables } = formsOf(kernel.files, this.#features);
    const texts = await Promise.all(files.map((file) => this.#source(file)));
    this.gpu.pushErrorScope("validation"); // the compilation's messages say more
    const all = { ...constants, SUBGROUP: this.#subgroup };
    const defined = Object.entries(all).map(([name, value]) => `const ${name} = ${value}u;`);
    // the enables on the first file's first line, so that lines keep their numbers
    const enabled = enables.map((feature) => `enable ${feature}; `).join("");
    const module = this.gpu.createShaderModule({ label: name, code: enabled + [...texts, ...defined].join("\n") });
    const info = await module.getCompilationInfo();
    await this.gpu.popErrorScope();
    const message = info.messages.find(({ type }) => type === "error");
    if (message !== undefined) {
      const place = placeOf(message.lineNum, files, texts);
      throw new TernionError("SHADER", `${place}: the shader does not compile: ${message.message}`);
    }
    const compute = { module, entryPoint };
    const layout = this.gpu.createPipelineLayout({ bindGroupLayouts: [this.#layoutOf(kernel)] });
    try {
      return await this.gpu.createComputePipelineAsync({ label: name, layout, compute });
    } catch (cause) {
      throw new TernionError("SHADER", `kernel ${name} of ${files.join(", ")}: ${(cause as Error).message}`, { cause });
    }
  }

  /** Explicit and not derived: a binding that a variant of the shader does not use is bound all the same. */
  #layoutOf({ bindings }: Kernel): GPUBindGroupLayout {
    const visibility = GPUShaderStage.COMPUTE;
    const storage = bindings.map(({ access }, i): GPUBindGroupLayoutEntry => {
      const type = access === "read" ? "read-only-storage" : "storage";
      return { binding: i + 1, visibility, buffer: { type } };
    });
    return this.gpu.createBindGroupLayout({
      entries: [{ binding: 0, visibility, buffer: { type: "uniform" } }, ...storage],
    });
  }

  #source(file: string): Promise<string> {
    const known = this.#sources.get(file) ?? this.#host.shader(`${file}.wgsl`);
    this.#sources.set(file, known);
    return known;
  }

  #fail(error: TernionError): void {
    this.#fault ??= error;
    for (const reject of this.#waits) reject(this.#fault);
  }

  /** `work`, or what ends the device before it. (A race with one promise of the device's would keep every wait alive.) */
  #orFail<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#fault !== undefined) return reject(this.#fault);
      this.#waits.add(reject);
      work.then(resolve, reject).finally(() => this.#waits.delete(reject));
    });
  }
}

/** "ternary/ternary.wgsl:12", from a line of the joined text. */
function placeOf(line: number, files: readonly string[], texts: readonly string[]): string {
  let first = 1;
  for (const [i, text] of texts.entries()) {
    const lines = text.split("\n").length;
    if (line < first + lines) return `${files[i]}.wgsl:${line - first + 1}`;
    first += lines;
  }
  return `${files.at(-1)}.wgsl`;
}

const paramBytes = ({ params }: Kernel) => Math.max(16, Math.ceil(params.length / 4) * 16);

function packParams(kernel: Kernel, params: Call["params"]): Uint8Array {
  const bytes = new ArrayBuffer(paramBytes(kernel));
  const view = new DataView(bytes);
  kernel.params.forEach(({ name, type }, i) => {
    const value = params[name];
    if (value === undefined) throw new TypeError(`${kernel.name}: param ${name} is missing`);
    if (type === "f32") view.setFloat32(4 * i, value, true);
    else if (type === "i32") view.setInt32(4 * i, value, true);
    else view.setUint32(4 * i, value, true);
  });
  return new Uint8Array(bytes);
}
