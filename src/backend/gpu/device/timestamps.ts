/** Time by kernel from timestamp queries: each dispatch in a compute pass of its own. */
import type { OpTime } from "../../backend.js";
import type { Device } from "./device.js";

/** Dispatches of a run that are timed; a query set holds two timestamps for each, and at most 4,096. */
const MOST = 2048;

/** What is timed: a dispatch. */
export interface Timed {
  readonly name: string;
  readonly bytes: number | undefined;
}

export class Timestamps {
  readonly #set: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #calls: Timed[] = [];

  /** Undefined where the device has no timestamps. */
  static of(device: Device): Timestamps | undefined {
    return device.gpu.features.has("timestamp-query") ? new Timestamps(device) : undefined;
  }

  private constructor(readonly device: Device) {
    this.#set = device.gpu.createQuerySet({ type: "timestamp", count: 2 * MOST });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    this.#resolved = device.gpu.createBuffer({ size: 16 * MOST, usage });
  }

  /** The pass of the next dispatch. */
  next(call: Timed): GPUComputePassDescriptor {
    const at = 2 * this.#calls.length;
    if (at === 2 * MOST) return {};
    this.#calls.push(call);
    return {
      timestampWrites: { querySet: this.#set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
    };
  }

  /** Ends the run's commands; the result is there when they are done. */
  resolve(encoder: GPUCommandEncoder): Promise<OpTime[]> {
    const calls = this.#calls;
    this.#calls = [];
    if (calls.length === 0) return Promise.resolve([]);
    const size = 16 * calls.length;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const staging = this.device.gpu.createBuffer({ size, usage });
    encoder.resolveQuerySet(this.#set, 0, 2 * calls.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, size);
    // the caller submits before this goes on
    return Promise.resolve().then(async () => {
      const stamps = new BigUint64Array(await this.device.mapped(staging));
      staging.destroy();
      return summed(calls, stamps);
    });
  }
}

function summed(calls: readonly Timed[], stamps: BigUint64Array): OpTime[] {
  const times = new Map<string, OpTime>();
  calls.forEach(({ name: op, bytes }, i) => {
    const ms = Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6;
    times.set(op, addTimes(times.get(op), { op, calls: 1, ms, bytes }));
  });
  return [...times.values()];
}

/** Both together; `a` may be none. */
export function addTimes(a: OpTime | undefined, b: OpTime): OpTime {
  return { ...b, calls: (a?.calls ?? 0) + b.calls, ms: (a?.ms ?? 0) + b.ms, bytes: (a?.bytes ?? 0) + (b.bytes ?? 0) };
}
