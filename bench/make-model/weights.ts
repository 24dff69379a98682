/**
 * Seeded random weights as tensor bytes. A tensor depends on the seed and its own name only, so a shape, a seed and a
 * name always give the same bytes.
 *
 * Scales keep a forward pass sane: a projection of a normalised input has outputs of variance about 1, the two that
 * write to the residual stream less by the number of writes, and logits a deviation of about 2.5.
 */
import type { GgmlType } from "../../src/gguf/types.js";
import type { GgufTensorInfo } from "../../src/gguf/write.js";
import type { Shape } from "./shapes.js";
import { encodeTq2, TQ2_BYTES, TQ2_WEIGHTS } from "./tq2.js";

const CHUNK = 4 << 20; // bytes
const LOGIT_DEVIATION = 2.5;

/** Bytes of a tensor in chunks that share one buffer: each is valid until the next is asked for. */
export function* randomTensor(tensor: GgufTensorInfo, shape: Shape, seed: number): Generator<Uint8Array> {
  const random = new Xorshift(hash(`${seed} ${tensor.name}`));
  const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
  const deviation = deviationOf(tensor, shape);
  switch (tensor.type) {
    case "F32":
      yield normWeights(elements, random);
      return;
    case "F16":
      yield* chunked(elements * 2, 2, halfNormal(deviation, random));
      return;
    case "Q8_0":
      yield* chunked((elements / 32) * 34, 34, q8Blocks(deviation, random));
      return;
    case "Q6_K":
      yield* chunked((elements / 256) * 210, 210, q6Blocks(deviation, random));
      return;
    case "Q2_0":
      yield* chunked((elements / 64) * 18, 18, q2Blocks(toHalf(ternaryScale(tensor, shape)), random));
      return;
    case "I2_S":
      yield* chunked(elements / 4, 4, ternaryCodes(random));
      yield scaleTail(ternaryScale(tensor, shape));
      return;
    case "TQ2_0":
      yield* tq2Blocks(elements, toHalf(ternaryScale(tensor, shape)), random);
      return;
    default:
      throw new TypeError(`${tensor.name}: no random weights of type ${tensor.type satisfies GgmlType}`);
  }
}

/** Of the weights of a table, or of a matrix: see above. */
function deviationOf({ name, dims }: GgufTensorInfo, shape: Shape): number {
  if (/^(token_embd|output)\b/.test(name)) return LOGIT_DEVIATION / Math.sqrt(shape.embedding);
  return 1 / Math.sqrt(dims[0] as number) / residualRoot(name, shape);
}

/** What the projections that write to the residual stream are divided by. */
const residualRoot = (name: string, { layers }: Shape) =>
  name.includes("attn_output") || name.includes("ffn_down") ? Math.sqrt(2 * layers) : 1;

type Fill = (bytes: Uint8Array) => void;

/** `length` bytes made by `fill` in chunks of whole blocks. */
function* chunked(length: number, block: number, fill: Fill): Generator<Uint8Array> {
  const chunk = new Uint8Array(Math.min(length, Math.floor(CHUNK / block) * block));
  for (let done = 0; done < length; done += chunk.byteLength) {
    const part = chunk.subarray(0, Math.min(chunk.byteLength, length - done));
    fill(part);
    yield part;
  }
}

/** F32 (elements) around 1, as trained norms are. */
function normWeights(elements: number, random: Xorshift): Uint8Array {
  const normal = normalTable(0.1, random);
  const values = Float32Array.from({ length: elements }, () => 1 + (normal[random.next() & 0xffff] as number));
  return new Uint8Array(values.buffer);
}

/** All bytes whose four 2-bit codes are 0, 1 or 2. */
const CODES = Uint8Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => (byte & (byte >> 1) & 0x55) === 0);

/** Codes -1, 0 and +1 alike: 81 valid bytes, each of 16 random bits with a bias below 2^-9. */
function ternaryCodes(random: Xorshift): Fill {
  return (bytes) => {
    for (let i = 0; i < bytes.length; i += 2) {
      const bits = random.next();
      bytes[i] = CODES[((bits & 0xffff) * CODES.length) >>> 16] as number;
      bytes[i + 1] = CODES[((bits >>> 16) * CODES.length) >>> 16] as number;
    }
  };
}

/** The weights that I2_S has of the same seed, as TQ2_0. */
function* tq2Blocks(elements: number, scale: number, random: Xorshift): Generator<Uint8Array> {
  const blocks = new Uint8Array((CHUNK / TQ2_WEIGHTS) * 4 * TQ2_BYTES);
  for (const codes of chunked(elements / 4, TQ2_WEIGHTS / 4, ternaryCodes(random))) {
    yield encodeTq2(codes, scale, blocks);
  }
}

/** Two thirds of the weights are not 0, so a row of K adds up to variance 2/3 K for inputs of variance 1. */
function ternaryScale({ name, dims }: GgufTensorInfo, shape: Shape): number {
  return 1 / Math.sqrt((2 / 3) * (dims[0] as number)) / residualRoot(name, shape);
}

/** Q2_0: F16 scale, then 64 codes. */
function q2Blocks(scale: number, random: Xorshift): Fill {
  const codes = ternaryCodes(random);
  return (bytes) => {
    codes(bytes);
    for (let block = 0; block < bytes.length; block += 18) {
      bytes[block] = scale & 0xff;
      bytes[block + 1] = scale >> 8;
    }
  };
}

/** The 32 bytes after the codes: the scale, then padding. */
function scaleTail(scale: number): Uint8Array {
  const tail = new Uint8Array(32);
  new DataView(tail.buffer).setFloat32(0, scale, true);
  return tail;
}

/** F16, normal. */
function halfNormal(deviation: number, random: Xorshift): Fill {
  const table = Uint16Array.from(normalTable(deviation, random), toHalf);
  return (bytes) => {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    for (let i = 0; i < halves.length; i += 2) {
      const bits = random.next();
      halves[i] = table[bits & 0xffff] as number;
      halves[i + 1] = table[bits >>> 16] as number;
    }
  };
}

/** Q8_0: F16 scale, then 32 int8; here normal with deviation 40. */
function q8Blocks(deviation: number, random: Xorshift): Fill {
  const scale = toHalf(deviation / 40);
  const table = Int8Array.from(normalTable(40, random), (value) => Math.max(-127, Math.min(127, Math.round(value))));
  return (bytes) => {
    for (let block = 0; block < bytes.length; block += 34) {
      bytes[block] = scale & 0xff;
      bytes[block + 1] = scale >> 8;
      for (let i = 2; i < 34; i++) bytes[block + i] = table[random.next() & 0xffff] as number;
    }
  };
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, F16 scale. Random bits make the weights
 * even over -32..31 (deviation 18.5); the small scales vary over 24..39 so that a wrong one shows.
 */
function q6Blocks(deviation: number, random: Xorshift): Fill {
  const scale = toHalf(deviation / (18.5 * 31.5));
  return (bytes) => {
    for (let block = 0; block < bytes.length; block += 210) {
      for (let i = 0; i < 192; i++) bytes[block + i] = random.next();
      for (let i = 192; i < 208; i++) bytes[block + i] = 24 + (random.next() & 15);
      bytes[block + 208] = scale & 0xff;
      bytes[block + 209] = scale >> 8;
    }
  };
}

/** 65,536 normal values with mean exactly 0, to be drawn from: 16 random bits a weight instead of a logarithm. */
function normalTable(deviation: number, random: Xorshift): Float64Array {
  const table = new Float64Array(65_536);
  for (let i = 0; i < table.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((random.next() + 1) / 2 ** 32));
    const value = radius * Math.cos((2 * Math.PI * random.next()) / 2 ** 32) * deviation;
    table[i] = value;
    table[i + 1] = -value;
  }
  return table;
}

/** Bits of the nearest F16 (ties away from zero), for magnitudes below 65,504. */
export function toHalf(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const steps = Math.round(magnitude * 2 ** (10 - exponent)); // 1024..2048 of them when normal
  return sign | (magnitude === 0 ? 0 : steps + ((exponent + 14) << 10));
}

/** Marsaglia's xorshift32: plenty for random weights, and three shifts each. */
class Xorshift {
  #state: number;

  constructor(seed: number) {
    this.#state = seed === 0 ? 1 : seed;
  }

  /** 32 random bits */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}
