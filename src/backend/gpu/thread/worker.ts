/**
 * The device's thread. Requests are carried out one after the other; only the waiting for what a run brings back goes on
 * beside them, so that the next run is on its way before the last has ended.
 */
import { TernionError } from "../../../errors.js";
import { openShared } from "../../../platform/file-bytes.js";
import { threadPort } from "../../../platform/thread.js";
import { nextTurn } from "../../../platform/turn.js";
import { webgpu } from "../../../platform/webgpu.js";
import { measureCopyRate } from "../device/copy-rate.js";
import { Device } from "../device/device.js";
import {
  ABORT,
  type Aside,
  type Fault,
  type Message,
  type Request,
  type RequestName,
  type Requests,
} from "../protocol.js";
import { Memory } from "./memory.js";
import { Parts } from "./parts.js";
import { addHead } from "./plan.js";
import { Runner } from "./runner.js";
import { uploadWeights } from "./upload.js";

const port = threadPort();

class DeviceThread {
  #memory: Memory | undefined;
  #runner: Runner | undefined;
  aborted = false;
  readonly parts = new Parts((read) => post({ kind: "read", read }), openShared);

  /** What the answer takes after the next request may begin. */
  readonly handlers: {
    readonly [N in RequestName]: (ask: Requests[N]["ask"]) => Promise<{ later: Promise<Requests[N]["answer"]> }>;
  } = {
    open: async (options) => {
      const device = await Device.open(options, webgpu);
      this.#memory = new Memory(device);
      const { maxRows, profile = false, joinRows = !device.software } = options;
      this.#runner = await Runner.create(this.#memory, { maxRows, profile, joinRows });
      const copyRate = profile ? await measureCopyRate(device) : undefined;
      return now({ description: device.description, copyRate });
    },
    load: async (request) => {
      let last = performance.now();
      const onProgress = (loaded: number) => {
        if (performance.now() - last < 50) return;
        last = performance.now();
        post({ kind: "progress", loaded });
      };
      try {
        const sources = this.parts.sourcesOf(request);
        await uploadWeights(this.memory, sources, { nextTurn, aborted: () => this.aborted, onProgress });
      } finally {
        this.parts.close();
      }
      return now(undefined);
    },
    tensor: async ({ id, maxRows, width }) => {
      await this.memory.addTensor(id, maxRows, width);
      return now(undefined);
    },
    quantized: async ({ id, normed, maxRows, width }) => {
      await this.memory.addQuantized(id, normed, maxRows, width);
      return now(undefined);
    },
    cache: async ({ id, shape }) => {
      await this.memory.addCache(id, shape);
      return now(undefined);
    },
    place: async ({ cache, slot, blocks }) => {
      this.memory.place(this.memory.cacheOf(cache), slot, blocks);
      return now(undefined);
    },
    copyBlock: async ({ cache, from, to }) => {
      this.memory.copyBlock(this.memory.cacheOf(cache), from, to);
      return now(undefined);
    },
    head: async (head) => {
      await addHead(this.memory, head);
      return now(undefined);
    },
    run: (request) => this.runner.submit(request),
    write: async ({ tensor, data }) => {
      const { buffer, offset } = this.memory.tensor(tensor).window;
      this.memory.device.write(buffer, offset, data);
      return now(undefined);
    },
    read: async ({ tensor, first, count }) => {
      const { window, width } = this.memory.tensor(tensor);
      const bytes = this.memory.device.readBack(window.buffer, window.offset + 4 * first * width, 4 * count * width);
      return { later: bytes.then((bytes) => new Float32Array(bytes)) };
    },
    readQuantized: async ({ id, first, count }) => {
      const { values, scales, width } = this.memory.quantizedOf(id);
      const { device } = this.memory;
      const both = Promise.all([
        device.readBack(values.buffer, values.offset + first * width, count * width),
        device.readBack(scales.buffer, scales.offset + 4 * first, 4 * count),
      ]);
      return { later: both.then(([v, s]) => ({ values: new Int8Array(v), scales: new Float32Array(s) })) };
    },
    destroy: async () => {
      this.memory.device.gpu.destroy();
      return now(undefined);
    },
    close: async () => {
      this.#memory?.device.close();
      return now(undefined);
    },
  };

  get bytes(): number {
    return this.#memory?.bytes ?? 0;
  }
  get memory(): Memory {
    if (this.#memory === undefined) throw new Error("the device is not open");
    return this.#memory;
  }
  get runner(): Runner {
    if (this.#runner === undefined) throw new Error("the device is not open");
    return this.#runner;
  }
}

const now = <T>(answer: T) => ({ later: Promise.resolve(answer) });
const post = (message: Message) => port.postMessage(message);

function faultOf(error: unknown): Fault {
  if (error instanceof TernionError) return { code: error.code, message: error.message };
  const what = error instanceof Error ? error.message : String(error);
  return { code: "BACKEND_FAILED", message: `The GPU backend failed: ${what}. Load the model again.` };
}

const thread = new DeviceThread();
let turn: Promise<void> = Promise.resolve();
let fault: Fault | undefined;

async function carryOut<N extends RequestName>({ id, name, ask }: Request<N>): Promise<void> {
  const fail = (error: unknown) => {
    fault ??= faultOf(error);
    post({ kind: "fault", id, fault });
  };
  if (fault !== undefined && name !== "close") return post({ kind: "fault", id, fault });
  try {
    const { later } = await thread.handlers[name](ask);
    later.then((answer) => post({ kind: "answer", id, answer, bytes: thread.bytes }), fail);
    if (name === "close") {
      await later;
      port.close();
    }
  } catch (error) {
    fail(error);
  }
}

port.on("message", (message: Request | Aside) => {
  if (message === ABORT) thread.aborted = true;
  else if ("kind" in message) thread.parts.receive(message.reply);
  else turn = turn.then(() => carryOut(message));
});
