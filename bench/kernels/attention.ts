/** Attention of one new token over a cache of 2048 positions, in both precisions of the cache. */
import { share } from "../../src/backend/cpu/commands.js";
import { CHUNK } from "../../src/backend/cpu/sizes.js";
import { Random } from "../../test/random.js";
import { type CaseMaker, expectValues, type Space } from "./case.js";

const POSITIONS = 2048;
const [KV_HEADS, GROUP, HEAD_DIM] = [5, 4, 128];
/** Layers with the same contents: together more than the caches hold. */
const LAYERS = 8;
const CHUNKS = POSITIONS / CHUNK;
const PARTIAL = 4 * (HEAD_DIM + 4);
const UNITS = LAYERS * KV_HEADS;
/** scores, 16-bit query and scale of each head of a unit; rounded up */
const SCORES = GROUP * (4 * CHUNK + 4 * HEAD_DIM + 64);
const LIMIT = Math.floor(Math.sqrt((2 ** 31 - 1) / HEAD_DIM));

const gaussians = (length: number, seed: number) => {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.gaussian());
};

/** softmax(q k / sqrt(headDim)) v in float64, all query heads of one layer. */
function plainAttention(q: Float32Array, k: Float32Array, v: Float32Array): Float64Array {
  const out = new Float64Array(KV_HEADS * GROUP * HEAD_DIM);
  for (let head = 0; head < KV_HEADS * GROUP; head++) {
    const cached = Math.floor(head / GROUP) * POSITIONS * HEAD_DIM;
    const weights = Float64Array.from({ length: POSITIONS }, (_, p) => {
      let score = 0;
      for (let i = 0; i < HEAD_DIM; i++) score += q[head * HEAD_DIM + i] * k[cached + p * HEAD_DIM + i];
      return Math.exp(score / Math.sqrt(HEAD_DIM));
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let p = 0; p < POSITIONS; p++) {
      for (let i = 0; i < HEAD_DIM; i++) {
        out[head * HEAD_DIM + i] += (weights[p] / total) * v[cached + p * HEAD_DIM + i];
      }
    }
  }
  return out;
}

/** Addresses of one layer; scales are those of the 16-bit form. */
interface Layer {
  readonly keys: number;
  readonly values: number;
  readonly keyScales: number;
  readonly valueScales: number;
  readonly bytes: number;
}

/** LAYERS times the same cache. `store` puts one position of one head. */
function makeCache(
  space: Space,
  elementBytes: number,
  store: (layer: Layer, head: number, position: number, from: number) => void,
): Layer {
  const headBytes = POSITIONS * HEAD_DIM * elementBytes;
  const scaleBytes = KV_HEADS * POSITIONS * 4;
  const bytes = 2 * KV_HEADS * headBytes + 2 * scaleBytes;
  const keys = space.allocate(bytes);
  const values = keys + KV_HEADS * headBytes;
  const keyScales = values + KV_HEADS * headBytes;
  const layer = { keys, values, keyScales, valueScales: keyScales + scaleBytes, bytes };
  for (let head = 0; head < KV_HEADS; head++) {
    for (let position = 0; position < POSITIONS; position++) {
      store(layer, head, position, 4 * HEAD_DIM * (head * POSITIONS + position));
    }
  }
  space.repeat(keys, bytes, LAYERS);
  return layer;
}

/** `attendChunk` for every chunk, folded in order, and `finish`; on f32 or 16-bit keys and values. */
const attention =
  (kernel: "attendChunk" | "attendChunk16", maxThreads: number): CaseMaker =>
  (space, kernels) => {
    const cached = KV_HEADS * POSITIONS * HEAD_DIM;
    const [q, k, v] = [gaussians(KV_HEADS * GROUP * HEAD_DIM, 11), gaussians(cached, 12), gaussians(cached, 13)];
    const [query, key, value] = [space.put(q), space.put(k), space.put(v)];
    const out = space.allocate(4 * LAYERS * q.length);
    const partials = space.allocate(maxThreads * 2 * GROUP * PARTIAL); // for each thread, all chunks so far and the next
    const scores = space.allocate(maxThreads * SCORES);
    const wide = kernel === "attendChunk";
    const elementBytes = wide ? 4 : 2;
    const headBytes = POSITIONS * HEAD_DIM * elementBytes;
    const cache = makeCache(space, elementBytes, ({ keys, values, keyScales, valueScales }, head, position, from) => {
      const [toKeys, toValues] = [keys + head * headBytes, values + head * headBytes];
      const scales = 4 * head * POSITIONS;
      if (wide) {
        kernels.storeKey(key + from, toKeys, position, HEAD_DIM);
        kernels.storeValue(value + from, toValues, position, HEAD_DIM);
      } else {
        kernels.storeKey16(key + from, toKeys, keyScales + scales, position, HEAD_DIM, LIMIT);
        kernels.storeValue16(value + from, toValues, valueScales + scales, position, HEAD_DIM);
      }
    });

    const callsOf = (unit: number, thread: number) => {
      const [layer, head] = [Math.floor(unit / KV_HEADS), unit % KV_HEADS];
      const at = (address: number, chunk: number, bytes: number) =>
        address + layer * cache.bytes + (head * CHUNKS + chunk) * bytes;
      const whereOf = (chunk: number) => {
        const cached = [cache.keys, cache.values].map((address) => at(address, chunk, headBytes / CHUNKS));
        const scales = wide ? [] : [cache.keyScales, cache.valueScales];
        return [...cached, ...scales.map((address) => at(address, chunk, 4 * CHUNK))];
      };
      const from = query + head * GROUP * HEAD_DIM * 4;
      const state = partials + thread * 2 * GROUP * PARTIAL;
      const next = state + GROUP * PARTIAL;
      const heads = Array.from({ length: GROUP }, (_, h) => h * PARTIAL);
      const chunks = Array.from({ length: CHUNKS }, (_, chunk) => {
        const to = chunk === 0 ? state : next;
        const what = [CHUNK, GROUP, HEAD_DIM, scores + thread * SCORES, to];
        const attend = { kernel, args: [from, ...whereOf(chunk), ...what, ...(wide ? [] : [LIMIT])] };
        const folds = heads.map((head) => ({ kernel: "fold", args: [state + head, next + head, HEAD_DIM] }));
        return chunk === 0 ? [attend] : [attend, ...folds];
      });
      const finished = heads.map((head, h) => {
        const to = out + 4 * HEAD_DIM * (unit * GROUP + h);
        return { kernel: "finish", args: [state + head, to, HEAD_DIM] };
      });
      return [...chunks.flat(), ...finished];
    };
    return {
      kernel,
      shape: `${POSITIONS} positions, ${KV_HEADS} x ${GROUP} heads of ${HEAD_DIM}, ${LAYERS} layers`,
      macs: 2 * UNITS * GROUP * POSITIONS * HEAD_DIM,
      bytes: LAYERS * cache.bytes - (wide ? LAYERS * 2 * KV_HEADS * POSITIONS * 4 : 0),
      calls: (threads) =>
        Array.from({ length: threads }, (_, thread) => {
          const [begin, end] = share(UNITS, thread, threads);
          return Array.from({ length: end - begin }, (_, i) => callsOf(begin + i, thread)).flat();
        }),
      reset: () => void space.f32(out, LAYERS * q.length).fill(Number.NaN),
      check: () => {
        const want = plainAttention(q, k, v);
        for (let layer = 0; layer < LAYERS; layer++) {
          const got = space.f32(out + 4 * layer * q.length, q.length);
          expectValues(`${kernel}, layer ${layer}`, got, want, wide ? 1e-6 : 1e-4);
        }
      },
    };
  };

export const attendChunk = (maxThreads: number) => attention("attendChunk", maxThreads);
export const attendChunk16 = (maxThreads: number) => attention("attendChunk16", maxThreads);
