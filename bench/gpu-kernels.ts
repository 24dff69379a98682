/**
 * The GPU kernels at the 2B-4T shape, each as a chain of dispatches over the matrices of all layers, so that weights come from
 * memory and the start of a dispatch counts. That they are right is what `test/backend/gpu/` shows.
 *
 *   npm run build && node dist/bench/gpu-kernels.js [--adapter NAME] [--without subgroups,f16]
 *                                                       [--repetitions 9] [--machine NAME] [--quick]
 */
import { parseArgs } from "node:util";
import { measureCopyRate } from "../src/backend/gpu/device/copy-rate.js";
import { Device } from "../src/backend/gpu/device/device.js";
import { FEATURES } from "../src/backend/gpu/device/features.js";
import type { Call, Window } from "../src/backend/gpu/device/kernel.js";
import { attend, partialBytes } from "../src/backend/gpu/kernels/attend.js";
import { best, bestScratchBytes } from "../src/backend/gpu/kernels/best.js";
import { anglesAt, BLOCK, blockBytes, type CacheLayer } from "../src/backend/gpu/kernels/cache.js";
import { logits } from "../src/backend/gpu/kernels/logits.js";
import { gateNormQuantize, normQuantize } from "../src/backend/gpu/kernels/norm-quantize.js";
import { ropeStore } from "../src/backend/gpu/kernels/rope-store.js";
import { ternary } from "../src/backend/gpu/kernels/ternary.js";
import { type Finish, ternaryRow } from "../src/backend/gpu/kernels/ternary-row.js";
import { formatTable } from "../src/cli/table.js";
import { webgpu } from "../src/platform/webgpu.js";
import { median } from "../src/tools/report/median.js";
import { COMMON, choice, integer, main } from "./options.js";
import { writeResult } from "./results.js";

export interface GpuKernelRow {
  readonly kernel: string;
  readonly shape: string;
  /** of one dispatch, its start included */
  readonly microseconds: number;
  /** of weights or cache */
  readonly gbPerSecond: number;
  readonly shareOfCopy: number;
  readonly tmacPerSecond: number;
}
export interface GpuKernelFigures {
  readonly adapter: string;
  /** 10^9 bytes a second, those read and those written */
  readonly copyGbPerSecond: number;
  readonly rows: readonly GpuKernelRow[];
}

const [WIDTH, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY] = [2560, 6912, 20, 5, 128, 128_256];
const KV = KV_HEADS * HEAD_DIM;
const SCALE = 0.01;
/** bytes of the codes of a layer */
const CODES = (WIDTH * (2 * WIDTH + 2 * KV) + 3 * WIDTH * FFN) / 4;

interface Case {
  readonly shape: string;
  /** of weights or cache, one dispatch */
  readonly bytes: number;
  readonly macs: number;
  /** the calls of layer `i` */
  calls(layer: number): readonly Call[];
}

/** Buffers of random bytes, and time on the device. */
class Lab {
  #room: Window | undefined;
  readonly #noise = Uint8Array.from({ length: 1 << 20 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 24) & 0x55);

  constructor(
    readonly device: Device,
    readonly layers: number,
  ) {}

  /** `bytes` of valid codes, which as float32 or float16 are small numbers. */
  async window(bytes: number): Promise<Window> {
    const buffer = await this.device.allocate(bytes, "benchmark");
    for (let at = 0; at < bytes; at += this.#noise.length) {
      this.device.write(buffer, at, this.#noise.subarray(0, Math.min(this.#noise.length, bytes - at)));
    }
    return { buffer, offset: 0, size: buffer.size };
  }
  /** Of each layer, in one buffer, where those of an op lie together as in a model. */
  async codes(bytes: number): Promise<Window[]> {
    this.#room ??= await this.window(Math.min(this.device.maxWindow, this.layers * CODES));
    const { buffer, offset } = this.#room;
    if (offset + this.layers * bytes > buffer.size)
      throw new RangeError("codes: expected an adapter with larger bindings");
    this.#room = { buffer, offset: offset + this.layers * bytes, size: 0 };
    return Array.from({ length: this.layers }, (_, layer) => ({ buffer, offset: offset + layer * bytes, size: bytes }));
  }
  windows = (bytes: number) => Promise.all(Array.from({ length: this.layers }, () => this.window(bytes)));

  /** Median microseconds of one layer's calls, by kernel. */
  async time({ calls }: Case, repetitions: number): Promise<number> {
    const { device } = this;
    const { gpu } = device;
    const all = Array.from({ length: this.layers }, (_, layer) => calls(layer)).flat();
    const groups = await device.bindGroups(all);
    const pipelines = await Promise.all(all.map(({ kernel }) => device.pipeline(kernel)));
    const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 });
    const stamps = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    const samples: number[] = [];
    for (let i = 0; i <= repetitions; i++) {
      const encoder = gpu.createCommandEncoder();
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      all.forEach(({ grid }, k) => {
        pass.setPipeline(pipelines[k]);
        pass.setBindGroup(0, groups[k]);
        pass.dispatchWorkgroups(...grid);
      });
      pass.end();
      encoder.resolveQuerySet(querySet, 0, 2, stamps, 0);
      gpu.queue.submit([encoder.finish()]);
      const [begin, end] = new BigUint64Array(await device.readBack(stamps, 0, 16));
      if (i > 0) samples.push(Number(end - begin) / 1000 / this.layers);
    }
    return median(samples);
  }
}

async function cases(lab: Lab, prompt: number, contexts: readonly number[]): Promise<Case[]> {
  const rows = prompt;
  const slotBlocks = Math.ceil(Math.max(...contexts, prompt) / BLOCK);
  const f32 = (elements: number) => lab.window(4 * elements);
  const quantized = async (width: number) => ({
    normed: await f32(rows * width),
    values: await lab.window(rows * width),
    scales: await f32(rows),
    sums: await f32(rows),
  });
  const matrix = async (outputs: number, columns: number) => ({
    rows: outputs,
    columns,
    codes: await lab.codes((outputs * columns) / 4),
    out: await f32(rows * outputs),
  });
  const weight = { window: await f32(FFN), type: "F32" } as const;
  const [h, g] = [await quantized(WIDTH), await quantized(FFN)];
  const [x, context, gated] = [await f32(rows * WIDTH), await f32(rows * WIDTH), await f32(rows * FFN)];
  const [q, k, v] = [await matrix(WIDTH, WIDTH), await matrix(KV, WIDTH), await matrix(KV, WIDTH)];
  const [o, down] = [await matrix(WIDTH, WIDTH), await matrix(WIDTH, FFN)];
  const [gate, up] = [await matrix(FFN, WIDTH), await matrix(FFN, WIDTH)];
  const shape = { slots: 1, slotBlocks, kvHeads: KV_HEADS, headDim: HEAD_DIM };
  const cached = () => lab.windows(slotBlocks * blockBytes(shape));
  const [keys, values] = [await cached(), await cached()];
  const tables = await lab.window(anglesAt(shape) + 4 * slotBlocks * BLOCK * HEAD_DIM);
  lab.device.write(
    tables.buffer,
    0,
    Int32Array.from({ length: slotBlocks }, (_, i) => i),
  );
  const cacheOf = (layer: number): CacheLayer => ({ ...shape, tables, keys: keys[layer], values: values[layer] });
  const partials = await lab.window(partialBytes({ cache: cacheOf(0), heads: HEADS, rows }));
  const slots = await lab.window(4 * rows);
  lab.device.write(slots.buffer, 0, new Int32Array(rows));
  const positions = await lab.window(4 * rows);
  const setPositions = (first: number) => {
    lab.device.write(
      positions.buffer,
      0,
      Int32Array.from({ length: rows }, (_, i) => first + i),
    );
  };
  const parts = [];
  const most = Math.floor(lab.device.maxWindow / (2 * WIDTH));
  for (let first = 0; first < VOCABULARY; first += most) {
    const count = Math.min(most, VOCABULARY - first);
    parts.push({ first, count, window: await lab.window(2 * count * WIDTH) });
  }
  const head = { type: "F16", rows: VOCABULARY, columns: WIDTH, parts } as const;
  const logitsOut = await f32(VOCABULARY);
  const scratch = await lab.window(bestScratchBytes({ vocabulary: VOCABULARY, count: 1, k: 40 }));
  const found = await lab.window(8 * 40);

  type Matrix = typeof q;
  const at = (matrices: readonly Matrix[], layer: number, addTo?: Window) =>
    matrices.map(({ codes, out, rows }) => ({ codes: codes[layer], out, rows, scale: SCALE, addTo }));
  const weights = (matrices: readonly Matrix[]) => matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const row = (
    name: string,
    matrices: readonly Matrix[],
    input: Window,
    finish: Finish | ((layer: number) => Finish),
    addTo?: Window,
  ): Case => {
    const { columns } = matrices[0];
    const out = columns === FFN ? g : h;
    return {
      shape: `${name}, 1 row`,
      bytes: weights(matrices) / 4,
      macs: weights(matrices),
      calls: (layer) => [
        ternaryRow(
          { x: input, weight, eps: 1e-5, columns, quantized: out, projections: at(matrices, layer, addTo) },
          typeof finish === "function" ? finish(layer) : finish,
        ),
      ],
    };
  };
  const many = (
    name: string,
    matrices: readonly Matrix[],
    count: number,
    subgroupMatrices: boolean,
    addTo?: Window,
  ): Case => ({
    shape: `${name}, ${count} rows`,
    bytes: weights(matrices) / 4,
    macs: count * weights(matrices),
    calls: (layer) => {
      const { columns } = matrices[0];
      const input = columns === FFN ? g : h;
      return ternary({ projections: at(matrices, layer, addTo), columns, rows: count, x: input, subgroupMatrices });
    },
  });
  const attending = (last: number, count: number): Case => ({
    shape: `${count} rows, context ${last + 1}`,
    bytes: 8 * KV * (last + 1),
    macs: 2 * WIDTH * count * (last + 1 - (count - 1) / 2),
    calls: (layer) => {
      setPositions(last + 1 - count);
      const all = {
        cache: cacheOf(layer),
        heads: HEADS,
        rows: count,
        out: context,
        q: q.out,
        slots,
        positions,
        partials,
      };
      return attend({ ...all, longest: last });
    },
  });
  const rope = (layer: number): Finish => {
    return { kind: "rope", cache: cacheOf(layer), places: slots, positionAt: 1 };
  };
  const forms = lab.device.features.has("subgroup matrices") ? [false, true] : [false];
  return [
    row("q, k, v", [q, k, v], x, rope),
    row("output", [o], context, { kind: "store" }, x),
    row("gate, up", [gate, up], x, { kind: "gate", activation: "relu2" }),
    row("down", [down], gated, { kind: "store" }, x),
    ...contexts.map((context) => attending(context - 1, 1)),
    {
      shape: "1 row",
      bytes: 2 * VOCABULARY * WIDTH,
      macs: VOCABULARY * WIDTH,
      calls: () => logits({ table: head, x, count: 1, out: logitsOut, maxBinding: lab.device.maxWindow }),
    },
    ...[1, 40].map((k) => ({
      shape: `${k} of ${VOCABULARY}`,
      bytes: 4 * VOCABULARY,
      macs: 0,
      calls: () => best({ logits: logitsOut, vocabulary: VOCABULARY, count: 1, k, scratch, out: found }),
    })),
    ...[4, 16].map((count) => many("gate, up", [gate, up], count, false)),
    ...forms.flatMap((matrices) => [
      many("q, k, v", [q, k, v], prompt, matrices),
      many("output", [o], prompt, matrices, x),
      many("gate, up", [gate, up], prompt, matrices),
      many("down", [down], prompt, matrices, x),
    ]),
    attending(prompt - 1, prompt),
    {
      shape: `${prompt} x ${WIDTH}`,
      bytes: 4 * prompt * WIDTH,
      macs: 0,
      calls: () => [normQuantize({ x, weight, eps: 1e-5, width: WIDTH, rows: prompt, out: h })],
    },
    {
      shape: `${prompt} x ${FFN}`,
      bytes: 8 * prompt * FFN,
      macs: 0,
      calls: () => {
        const inputs = { gate: gate.out, up: up.out, gated: gate.out, activation: "relu2" } as const;
        return [gateNormQuantize({ ...inputs, weight, eps: 1e-5, width: FFN, rows: prompt, out: g })];
      },
    },
    {
      shape: `${prompt} rows`,
      bytes: 4 * prompt * (WIDTH + 2 * KV),
      macs: 0,
      calls: (layer) => {
        const all = { cache: cacheOf(layer), heads: HEADS, rows: prompt, q: q.out, k: k.out, v: v.out };
        return [ropeStore({ ...all, slots, positions })];
      },
    },
  ];
}

await main(async () => {
  const { machine, repetitions, quick, ...given } = parseArgs({
    options: {
      ...COMMON,
      repetitions: { type: "string", default: "9" },
      adapter: { type: "string" },
      without: { type: "string", default: "" },
    },
  }).values;
  const without = given.without.split(",").flatMap((name) => choice("without", name || undefined, FEATURES) ?? []);
  const device = await Device.open({ adapter: given.adapter, without }, webgpu);
  const lab = new Lab(device, quick ? 2 : 30);
  const count = quick ? 2 : integer("repetitions", repetitions);
  const copy = await measureCopyRate(device, quick ? 1 << 24 : 1 << 28);
  const rows: GpuKernelRow[] = [];
  for (const each of await cases(lab, quick ? 64 : 512, quick ? [128, 512] : [128, 512, 4096])) {
    const microseconds = await lab.time(each, count);
    rows.push({
      kernel: each
        .calls(0)
        .map(({ kernel }) => kernel.name)
        .join(" + "),
      shape: each.shape,
      microseconds,
      gbPerSecond: each.bytes / microseconds / 1000,
      shareOfCopy: (each.bytes * 1e6) / microseconds / copy,
      tmacPerSecond: each.macs / microseconds / 1e6,
    });
  }
  device.close();
  const text = rows.map(({ kernel, shape, microseconds, gbPerSecond, shareOfCopy, tmacPerSecond }) => [
    kernel,
    shape,
    Number(microseconds.toFixed(2)),
    Number(gbPerSecond.toFixed(0)),
    Number((100 * shareOfCopy).toFixed(0)),
    Number(tmacPerSecond.toFixed(2)),
  ]);
  process.stdout.write(`${device.description}, copies ${(copy / 1e9).toFixed(0)} GB/s\n`);
  process.stdout.write(formatTable(["kernel", "shape", "us", "GB/s", "% of copy", "TMAC/s"], text));
  const figures = { adapter: device.description, copyGbPerSecond: copy / 1e9, rows } satisfies GpuKernelFigures;
  if (!quick) await writeResult(machine, "gpu-kernels", figures);
});
