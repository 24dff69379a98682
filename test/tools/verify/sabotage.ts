/**
 * Backends with one wrong op each. A sabotage uses nothing but ops of the contract and damaged weights, so that it works
 * on every backend: a norm with eps 1e12 and weights 1e6 gives its input back, and `gate` with a constant multiplies.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend, Batch, Tensor, Weight, WeightSource } from "../../../src/backend/backend.js";
import type { TracedTensor } from "../../../src/engine/trace.js";
import { createActivations, forward } from "../../../src/model/forward.js";
import { loadWeights, type ModelWeights } from "../../../src/model/weights.js";
import { openFile } from "../../../src/platform/file-bytes.js";
import type { Variant } from "../../backends.js";
import type { Golden } from "../../golden.js";

export interface Kit {
  readonly b: Backend;
  readonly golden: Golden;
  readonly weights: ModelWeights;
  /** layer of the norm that was recorded last */
  layer(): number;
  /** a norm weight of this value everywhere */
  constant(width: number, value: 1 | 1e6): Weight;
  /** what `damage` made */
  damaged(): Weight;
  scratch(width: number): Tensor;
  /** records x *= factor, for x of the model's width */
  multiply(x: Tensor, factor: (column: number) => number): void;
}

export interface Sabotage {
  readonly name: string;
  /** the intermediate that `verify` must name */
  readonly fault: string;
  /** what it must say */
  readonly cause?: RegExp;
  /** changes the bytes of the named tensor before they are loaded */
  readonly damage?: { readonly tensor: string; readonly apply: (bytes: Buffer, source: WeightSource) => void };
  /** whether the damaged tensor takes the place of the sound one; else `kit.damaged` has it */
  readonly replace?: boolean;
  /** loads some weights otherwise */
  readonly source?: (source: WeightSource) => WeightSource;
  readonly ops?: (kit: Kit) => Partial<Backend>;
}

/** Traces the first tokens of the golden model on a sabotaged backend: half as a prompt, the others one by one. */
export async function sabotagedTrace(variant: Variant, golden: Golden, sabotage: Sabotage, tokens: readonly number[]) {
  const directory = await mkdtemp(join(tmpdir(), "ternion-sabotage-"));
  const backend = await variant.create(tokens.length);
  try {
    return await trace(backend, golden, sabotage, { tokens, directory });
  } finally {
    await backend.close();
    await rm(directory, { recursive: true });
  }
}

async function trace(
  backend: Backend,
  golden: Golden,
  sabotage: Sabotage,
  { tokens, directory }: { tokens: readonly number[]; directory: string },
): Promise<Map<string, TracedTensor>> {
  const { config } = golden;
  const { sources, extra } = await writeWeights(golden, sabotage, join(directory, "weights"));
  const { source: changed = (source: WeightSource) => source } = sabotage;
  const extras = new Map<string, Weight>();
  const load = async (all: readonly WeightSource[]) => {
    const loaded = await backend.load([...all, ...extra]);
    for (const weight of loaded.slice(all.length)) extras.set(weight.name, weight);
    return loaded.slice(0, all.length);
  };
  const weights = await loadWeights(
    sources.map(changed),
    config,
    { kind: backend.kind, takes: backend.takes, features: backend.features, load },
    {},
  );
  const rows = tokens.length;
  let layer = 0;
  const factors = backend.tensor(rows, config.width);
  const kit: Kit = {
    b: backend,
    golden,
    weights,
    layer: () => layer,
    constant: (width, value) => extras.get(`${value} ${width}`) as Weight,
    damaged: () => extras.get("damaged") as Weight,
    scratch: (width) => backend.tensor(rows, width),
    multiply(x, factor) {
      const row = Array.from({ length: x.width }, (_, column) => Math.sqrt(factor(column)));
      backend.write(
        factors,
        Float32Array.from({ length: rows * x.width }, (_, i) => row[i % x.width]),
      );
      backend.gate(x, factors, x, "relu2");
    },
  };
  const overrides: Partial<Backend> = { ...sabotage.ops?.(kit) };
  const b = new Proxy(backend, {
    get(target, key) {
      const method = Reflect.get(overrides, key) ?? Reflect.get(target, key, target);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        if (key === "normQuantize") layer = Number(/^blk\.(\d+)/.exec((args[2] as Weight).name)?.[1] ?? 0);
        return method.apply(target, args);
      };
    },
  });
  const cache = b.cache({ ...config, slots: 2, positions: 64, type: "f32" });
  const activations = createActivations(b, config, rows, rows);
  const head = await b.head(weights.head, rows, 8);

  const parts = new Map<string, { width: number; chunks: Float32Array[] }>();
  b.setTracer((name, data, _rows, width) => {
    parts.set(name, { width, chunks: [...(parts.get(name)?.chunks ?? []), data] });
  });
  const half = Math.ceil(rows / 2);
  for (let first = 0; first < rows; first += first < half ? half : 1) {
    const model = { config, weights, cache, head, activations };
    forward(b, model, batchOf(tokens, first, first < half ? half : 1));
    await b.run();
  }
  return new Map(
    Array.from(parts, ([name, { width, chunks }]) => {
      const data = Float32Array.from(chunks.flatMap((chunk) => [...chunk]));
      return [name, { rows, width, data }];
    }),
  );
}

function batchOf(tokens: readonly number[], first: number, count: number): Batch {
  const range = Int32Array.from({ length: count }, (_, i) => first + i);
  return {
    tokens: range.map((i) => tokens[i]),
    slots: new Int32Array(count),
    positions: range,
    outputs: range.map((i) => i - first),
  };
}

/** Constants and the damaged tensor, in a file of their own. */
async function writeWeights({ config, sources }: Golden, { damage, replace }: Sabotage, path: string) {
  const file = await open(path, "w");
  try {
    const bytes = await openFile(path);
    const extra: WeightSource[] = [];
    let offset = 0;
    const add = async (source: Omit<WeightSource, "bytes" | "offset" | "byteLength">, data: Buffer) => {
      await file.write(data, 0, data.byteLength, offset);
      extra.push({ ...source, bytes, offset, byteLength: data.byteLength });
      offset += data.byteLength;
    };
    for (const width of new Set([config.width, config.ffnWidth])) {
      for (const value of [1, 1e6]) {
        const values = Buffer.from(new Float32Array(width).fill(value).buffer);
        await add({ name: `${value} ${width}`, type: "F32", rows: 1, columns: width }, values);
      }
    }
    const sound = sources.find(({ name }) => name === damage?.tensor);
    if (damage === undefined || sound === undefined) return { sources, extra };
    const tensor = Buffer.alloc(sound.byteLength);
    await sound.bytes.read(sound.offset, tensor);
    damage.apply(tensor, sound);
    await add({ ...sound, name: replace ? sound.name : "damaged" }, tensor);
    const damaged = extra[extra.length - 1];
    if (!replace) return { sources, extra };
    return { sources: sources.map((source) => (source === sound ? damaged : source)), extra: extra.slice(0, -1) };
  } finally {
    await file.close();
  }
}
