/** Kernels on their own: one device a test file, buffers from arrays, calls, and what they leave. */
import { after, test } from "node:test";
import { Device } from "../../src/backend/gpu/device.js";
import type { Call, Features, Window } from "../../src/backend/gpu/kernel.js";
import { NO_ADAPTER } from "./require.js";

type Data = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** The device of one variant of the kernels. */
export class Harness {
  constructor(readonly device: Device) {}

  get features(): Features {
    return this.device.features;
  }

  /** A buffer that holds `data`. */
  async from(data: Data): Promise<Window> {
    const window = await this.zeros(data.byteLength);
    this.device.write(window.buffer, 0, data);
    return window;
  }
  async zeros(bytes: number): Promise<Window> {
    const buffer = await this.device.allocate(bytes, "test data");
    return { buffer, offset: 0, size: buffer.size };
  }
  run(...calls: readonly Call[]): Promise<void> {
    return this.device.execute(calls);
  }
  private bytes({ buffer, offset, size }: Window): Promise<ArrayBuffer> {
    return this.device.readBack(buffer, offset, size);
  }
  floats = async (window: Window) => new Float32Array(await this.bytes(window));
  ints = async (window: Window) => new Int32Array(await this.bytes(window));
  words = async (window: Window) => new Uint32Array(await this.bytes(window));
  int8 = async (window: Window) => new Int8Array(await this.bytes(window));
}

/** A test that runs once with subgroup operations, where the adapter has them, and once without. */
export function kernelTest(name: string, use: (harness: Harness) => Promise<void>): void {
  for (const subgroups of [false, true]) {
    test(`${name}, ${subgroups ? "subgroups" : "no subgroups"}`, { skip: NO_ADAPTER }, async (t) => {
      const harness = await harnessOf(subgroups);
      if (subgroups && !harness.features.subgroups) return t.skip("the adapter has no subgroups of one size");
      await use(harness);
    });
  }
}

const harnesses = new Map<boolean, Promise<Harness>>();

function harnessOf(subgroups: boolean): Promise<Harness> {
  const known = harnesses.get(subgroups) ?? Device.open({ subgroups }).then((device) => new Harness(device));
  harnesses.set(subgroups, known);
  return known;
}

after(async () => {
  for (const harness of harnesses.values()) (await harness).device.close();
});
