/** Kernels on their own: one device a test file, buffers from arrays, calls, and what they leave. */
import { after, test } from "node:test";
import { Device } from "../../../src/backend/gpu/device/device.js";
import type { Feature } from "../../../src/backend/gpu/device/features.js";
import type { Call, Window } from "../../../src/backend/gpu/device/kernel.js";
import { webgpu } from "../../../src/platform/webgpu.js";
import { NO_ADAPTER } from "./require.js";

type Data = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** A device, and what tests do with it. */
export class Harness {
  constructor(readonly device: Device) {}

  /** A buffer that holds `data`. */
  async from(data: Data): Promise<Window> {
    const window = await this.zeros(data.byteLength);
    this.device.write(window.buffer, 0, data);
    return window;
  }
  /** Windows of one buffer, each of which holds one of `all`. */
  async together(all: readonly Data[]): Promise<Window[]> {
    const offsets: number[] = [];
    const end = all.reduce((at, { byteLength }) => {
      offsets.push(at);
      return at + Math.ceil(byteLength / 256) * 256;
    }, 0);
    const { buffer } = await this.zeros(end);
    return all.map((data, i) => {
      this.device.write(buffer, offsets[i], data);
      return { buffer, offset: offsets[i], size: data.byteLength };
    });
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

/** What a kernel test asks of a device. */
export interface KernelTestOptions {
  /** skipped where the device binds fewer to a kernel */
  readonly buffers?: number;
  /** skipped where the device does not use it */
  readonly needs?: Feature;
  /** features for which the kernels have another form: the test runs with what the device has, and without them */
  readonly forms?: readonly Feature[];
}

/** A test on the device of this file. */
export function kernelTest(
  name: string,
  use: (harness: Harness) => Promise<void>,
  { buffers = 0, needs, forms = [] }: KernelTestOptions = {},
): void {
  for (const without of forms.length === 0 ? [[]] : [[], forms]) {
    const title = [name, ...without.map((feature) => `without ${feature}`)].join(", ");
    test(title, { skip: NO_ADAPTER }, async (t) => {
      const { device } = await deviceOfFile();
      const { maxStorageBuffersPerShaderStage: most } = device.gpu.limits;
      if (most < buffers)
        return t.skip(`${device.description} binds ${most} buffers to a kernel, this takes ${buffers}`);
      if (needs !== undefined && !device.features.has(needs)) {
        return t.skip(`${device.description} has no ${needs} that are used`);
      }
      if (without.length > 0 && !without.some((feature) => device.features.has(feature))) {
        return t.skip(`${device.description} does without them anyway`);
      }
      await use(await deviceOfFile(without));
    });
  }
}

/** Opens on the first call, and closes when the tests of the file have ended. */
function deviceOfFile(without: readonly Feature[] = []): Promise<Harness> {
  const key = without.join();
  const known = harnesses.get(key) ?? Device.open({ without }, webgpu).then((device) => new Harness(device));
  harnesses.set(key, known);
  return known;
}

const harnesses = new Map<string, Promise<Harness>>();

after(async () => {
  for (const harness of harnesses.values()) (await harness).device.close();
});
