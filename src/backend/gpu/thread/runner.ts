/**
 * Executes batches: writes their arrays, encodes the plan of their record, submits, and brings back what is asked for. Runs
 * may overlap: `submit` returns when the commands are on their way, and what it returns resolves when they are done.
 */
import type { Batch, OpTime } from "../../backend.js";
import { rankedOf, wholeOf } from "../../batch.js";
import type { Window } from "../device/kernel.js";
import { Timestamps } from "../device/timestamps.js";
import { DRAW_WORDS, packDraws, packMasks } from "../kernels/sample.js";
import type { DeviceOptions, RunRequest, RunResult } from "../protocol.js";
import { decodeOps, type Op } from "../record.js";
import { type Memory, partOf } from "./memory.js";
import { type BatchShape, type BatchWindows, longestOf, Planner, type Step } from "./plan.js";

/** Slots that an engine may have, see `maxSessions`. */
const MOST_SLOTS = 1024;
/** Batches of more rows than this keep the device busy for longer than their commands take to be recorded. */
const DECODED = 16;
/** Their dispatches go to the device so many at a time, so that it begins while the host still records. */
const DISPATCHES = 40;
/** Plans kept: one for each record and shape of batch. */
const MOST_PLANS = 64;

interface Dispatch {
  readonly kind: "dispatch";
  readonly name: string;
  readonly bytes: number | undefined;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

interface Plan {
  readonly steps: readonly (Dispatch | Exclude<Step, { kind: "call" }>)[];
  /** parts of buffers that come back: ids, best ids or marks */
  readonly ids: Window | undefined;
  readonly best: Window | undefined;
  /** where the masks of the batch go */
  readonly masks: Window | undefined;
  readonly marks: readonly Window[];
  readonly dispatches: number;
}

type RunnerOptions = Required<Pick<DeviceOptions, "profile" | "maxRows" | "joinRows">>;

export class Runner {
  readonly #planner: Planner;
  readonly #batch: BatchWindows;
  /** elements of one array of the batch */
  readonly #stride: number;
  /** what is written to the device for a batch */
  readonly #words: Int32Array;
  readonly #records: Op[][] = [];
  readonly #plans = new Map<string, Plan>();
  readonly #staging = new Map<number, GPUBuffer[]>();
  readonly #timestamps: Timestamps | undefined;

  static async create(memory: Memory, options: RunnerOptions) {
    const stride = Math.ceil(options.maxRows / 64) * 64;
    const arrays = await memory.allocate(4 * (4 + DRAW_WORDS) * stride, "batch");
    const at = (i: number, width = 1) => partOf(arrays, 4 * i * stride, 4 * width * stride);
    const batch: BatchWindows = {
      tokens: at(0),
      slots: at(1),
      positions: at(2),
      outputs: at(3),
      draws: at(4, DRAW_WORDS),
      ids: await memory.allocate(4 * options.maxRows, "sampled ids"),
      sampled: await memory.allocate(4 * MOST_SLOTS, "sampled ids by slot"),
    };
    return new Runner(memory, batch, { ...options, stride });
  }

  private constructor(
    readonly memory: Memory,
    batch: BatchWindows,
    options: RunnerOptions & { stride: number },
  ) {
    this.#batch = batch;
    this.#stride = options.stride;
    this.#words = new Int32Array((4 + DRAW_WORDS) * options.stride);
    this.#planner = new Planner(memory, batch, options);
    this.#timestamps = options.profile ? Timestamps.of(memory.device) : undefined;
  }

  async submit(request: RunRequest): Promise<{ later: Promise<RunResult> }> {
    if (request.words !== undefined) this.#records[request.record] = decodeOps(request.words);
    const plan = await this.#planOf(request);
    const start = performance.now();
    this.#write(request.batch, plan.masks);
    const { staging, times } = this.#encode(
      plan,
      request.batch.tokens.length > DECODED ? DISPATCHES : Number.POSITIVE_INFINITY,
    );
    const host = { ms: performance.now() - start, dispatches: plan.dispatches };
    return { later: this.#results(plan, staging, times).then((result) => ({ ...result, host })) };
  }

  async #planOf({ record, batch }: RunRequest): Promise<Plan> {
    const shape: BatchShape = {
      rows: batch.tokens.length,
      outputs: batch.outputs.length,
      ranked: rankedOf(batch),
      whole: wholeOf(batch),
      longest: longestOf(batch.positions),
    };
    const { rows, outputs, ranked, whole, longest } = shape;
    const key = [record, rows, outputs, ranked, whole.first, whole.count, longest].join(" ");
    const known = this.#plans.get(key);
    const plan = known ?? (await this.#plan(this.#records[record], shape));
    this.#plans.delete(key); // the last used is the last in the map
    this.#plans.set(key, plan);
    if (this.#plans.size > MOST_PLANS) this.#plans.delete(this.#plans.keys().next().value as string);
    return plan;
  }

  async #plan(ops: readonly Op[], shape: BatchShape): Promise<Plan> {
    const { device } = this.memory;
    const steps = await this.#planner.steps(ops, shape);
    const kernels = [...new Set(steps.flatMap((step) => (step.kind === "call" ? [step.call.kernel] : [])))];
    await Promise.all(kernels.map((kernel) => device.pipeline(kernel))); // compiled side by side
    const groups = await device.bindGroups(steps.flatMap((step) => (step.kind === "call" ? [step.call] : [])));
    const ready: Plan["steps"][number][] = [];
    let next = 0;
    for (const step of steps) {
      if (step.kind !== "call") {
        ready.push(step);
        continue;
      }
      const { kernel, bytes, grid } = step.call;
      const pipeline = await device.pipeline(kernel);
      ready.push({ kind: "dispatch", name: kernel.name, bytes, pipeline, group: groups[next++], grid });
    }
    const head = ops.find((op) => op.op === "best");
    const sampled = ops.some((op) => op.op === "sample");
    const k = this.#planner.bestCount;
    const { ranked } = shape;
    return {
      steps: ready,
      ids: sampled && ranked > 0 ? partOf(this.#batch.ids, 0, 4 * ranked) : undefined,
      best: head && ranked > 0 ? partOf(this.memory.headOf(head.head).best, 0, 8 * ranked * k) : undefined,
      masks: head?.masked ? this.memory.headOf(head.head).masks : undefined,
      marks: steps.flatMap((step) => (step.kind === "mark" ? [step.from] : [])),
      dispatches: steps.filter(({ kind }) => kind === "call").length,
    };
  }

  /** All arrays of a batch but the masks lie in one buffer, and are written at once. */
  #write(batch: Batch, masks: Window | undefined): void {
    const { tokens, slots, positions, outputs, draws = [] } = batch;
    const stride = this.#stride;
    const words = this.#words;
    words.set(tokens);
    words.set(slots, stride);
    words.set(positions, 2 * stride);
    words.set(outputs, 3 * stride);
    words.set(packDraws(batch), 4 * stride);
    const count = 4 * stride + DRAW_WORDS * draws.length;
    this.memory.device.write(this.#batch.tokens.buffer, 0, words.subarray(0, count));
    if (masks !== undefined) this.memory.device.write(masks.buffer, masks.offset, packMasks(draws));
  }

  /** Records and submits the plan; what comes back is copied into a buffer that can be mapped. */
  #encode(plan: Plan, dispatches: number): { staging: GPUBuffer | undefined; times: Promise<OpTime[]> | undefined } {
    const { gpu } = this.memory.device;
    const wanted = windowsOf(plan);
    const bytes = wanted.reduce((sum, { size }) => sum + size, 0);
    const staging = bytes === 0 ? undefined : this.#takeStaging(bytes);
    let at = [plan.ids, plan.best].reduce((sum, window) => sum + (window?.size ?? 0), 0);
    let encoder = gpu.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    let recorded = 0;
    const endPass = () => {
      pass?.end();
      pass = undefined;
    };
    const submit = () => {
      endPass();
      gpu.queue.submit([encoder.finish()]);
    };
    const copy = (from: Window, to: GPUBuffer, offset: number) => {
      endPass();
      encoder.copyBufferToBuffer(from.buffer, from.offset, to, offset, from.size);
    };
    for (const step of plan.steps) {
      if (step.kind === "copy") {
        copy(step.from, step.to.buffer, step.to.offset);
      } else if (step.kind === "mark") {
        copy(step.from, staging as GPUBuffer, at);
        at += step.from.size;
      } else {
        if (this.#timestamps !== undefined) endPass();
        pass ??= encoder.beginComputePass(this.#timestamps?.next(step) ?? {});
        pass.setPipeline(step.pipeline);
        pass.setBindGroup(0, step.group);
        const [x, y, z] = step.grid;
        pass.dispatchWorkgroups(x, y, z);
        if (++recorded % dispatches > 0) continue;
        submit();
        encoder = gpu.createCommandEncoder();
      }
    }
    let offset = 0;
    for (const window of [plan.ids, plan.best]) {
      if (window === undefined) continue;
      copy(window, staging as GPUBuffer, offset);
      offset += window.size;
    }
    endPass();
    const times = this.#timestamps?.resolve(encoder);
    submit();
    return { staging, times };
  }

  async #results(
    plan: Plan,
    staging: GPUBuffer | undefined,
    times: Promise<OpTime[]> | undefined,
  ): Promise<Omit<RunResult, "host">> {
    const { device } = this.memory;
    if (staging === undefined) {
      await device.done();
      return { ids: new Int32Array(), traces: [], times: (await times) ?? [] };
    }
    const bytes = await device.mapped(staging);
    let at = 0;
    const take = (window: Window) => {
      const part = bytes.slice(at, at + window.size);
      at += window.size;
      return part;
    };
    const ids = plan.ids === undefined ? new Int32Array() : new Int32Array(take(plan.ids));
    const best = plan.best === undefined ? undefined : take(plan.best);
    const traces = plan.marks.map((window) => new Float32Array(take(window)));
    this.#giveStaging(staging);
    return { ids, traces, times: (await times) ?? [], ...(best !== undefined && { best }) };
  }

  /** Sizes are powers of two, so that few buffers serve all runs. */
  #takeStaging(bytes: number): GPUBuffer {
    const size = Math.max(256, 2 ** Math.ceil(Math.log2(bytes)));
    const free = this.#staging.get(size)?.pop();
    return (
      free ?? this.memory.device.gpu.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    );
  }
  #giveStaging(buffer: GPUBuffer): void {
    const large = buffer.size > 1 << 20; // of a trace
    if (large) buffer.destroy();
    else this.#staging.set(buffer.size, [...(this.#staging.get(buffer.size) ?? []), buffer]);
  }
}

function windowsOf({ ids, best, marks }: Plan): Window[] {
  return [ids, best].flatMap((window) => (window === undefined ? [] : [window])).concat(marks);
}
