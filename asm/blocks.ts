// Ternary weights with a scale for each 256 of a row (TQ1_0 and TQ2_0 of ggml), times int8 activations.
//
// Plain loop:   out[r] = sum over blocks b of scale[r][b] * sum over c in b of (code[r][c] - 1) * x[c]
//
// The sums of a block are exact integers, by the dots of ternary.ts; the floats are added in the order of the blocks.
//
// Layout: codes as in ternary.ts; scales (rows / 8, columns / 256, 8) float32. Preconditions: columns a multiple of 256.

import { halfAt } from "./dense";
import { GROUP, ternaryDot16, ternaryDot32, ternaryDotBaseline } from "./ternary";

export const SCALE_BLOCK: i32 = 256; // columns

const BLOCK = <usize>SCALE_BLOCK;
const BLOCK_CODES: usize = 2 * BLOCK; // bytes of a group's block

/** out[columns / 256] int32 = the sums of a row's blocks. */
export function blockSums(x: usize, out: usize, columns: i32): void {
  for (const end = x + <usize>columns; x < end; out += 4) {
    let sum = i32x4.splat(0);
    for (const stop = x + BLOCK; x < stop; x += 16) {
      sum = i32x4.add(sum, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v128.load(x))));
    }
    const t = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    store<i32>(out, i32x4.extract_lane(t, 0) + i32x4.extract_lane(t, 1));
  }
}

/**
 * out[8 * groups] float32; `sums` from blockSums; `form` 0, 1 or 2: ternaryDot16, ternaryDot32, ternaryDotBaseline. Scratch: 32
 * bytes after out.
 */
export function ternaryBlocks(
  w: usize, x: usize, sums: usize, scales: usize, out: usize, columns: i32, groups: i32, form: i32, low: i32, high: i32,
): void {
  const blocks = columns / SCALE_BLOCK;
  const acc = out + (<usize>(groups * GROUP) << 2); // 8 int32
  for (let group = 0; group < groups; group++, out += 32) {
    let first = f32x4.splat(0), second = first;
    for (let b = 0; b < blocks; b++, w += BLOCK_CODES, scales += 32) {
      const from = x + <usize>b * BLOCK;
      const sum = load<i32>(sums + (<usize>b << 2));
      if (form == 0) ternaryDot16(w, from, acc, SCALE_BLOCK, 1, sum, low, high);
      else if (form == 1) ternaryDot32(w, from, acc, SCALE_BLOCK, 1, sum, low, high);
      else ternaryDotBaseline(w, from, acc, SCALE_BLOCK, 1, sum, low, high);
      first = f32x4.add(first, f32x4.mul(f32x4.convert_i32x4_s(v128.load(acc)), v128.load(scales)));
      second = f32x4.add(second, f32x4.mul(f32x4.convert_i32x4_s(v128.load(acc, 16)), v128.load(scales, 16)));
    }
    v128.store(out, first);
    v128.store(out, second, 16);
  }
}

/** out[i] = acc[i] * factor for n rows; where addTo is not 0, addTo[i] += out[i]. */
export function scaleFloats(acc: usize, out: usize, addTo: usize, n: i32, factor: f32): void {
  for (const end = acc + (<usize>n << 2); acc < end; acc += 4, out += 4) {
    const y = load<f32>(acc) * factor;
    store<f32>(out, y);
    if (addTo) {
      store<f32>(addTo, load<f32>(addTo) + y);
      addTo += 4;
    }
  }
}

const ZEROS: i32 = 0x55; // four codes 1

/** Four 2-bit codes of a byte in the opposite order, in each of 16 bytes. */
@inline
function reversed(v: v128): v128 {
  const pairs = v128.or(
    v128.and(i16x8.shl(v, 2), i8x16.splat(<i8>0xcc)),
    v128.and(i16x8.shr_u(v, 2), i8x16.splat(0x33)),
  );
  return v128.or(v128.and(i16x8.shl(pairs, 4), i8x16.splat(<i8>0xf0)), v128.and(i16x8.shr_u(pairs, 4), i8x16.splat(15)));
}

/** A row of TQ2_0 → codes in the order of I2_S, and scales, `stride` bytes apart. Scale 0 makes a block of zeros, whatever its codes are. */
export function unpackTQ2_0(src: usize, dst: usize, scales: usize, stride: usize, columns: i32): void {
  for (const end = dst + (<usize>columns >> 2); dst < end; src += 66, dst += 64, scales += stride) {
    const scale = halfAt(src + 64);
    store<f32>(scales, scale);
    for (let i: usize = 0; i < 64; i += 16) {
      v128.store(dst + i, scale == 0 ? i8x16.splat(<i8>ZEROS) : reversed(v128.load(src + i)));
    }
  }
}

/** Trit n, most significant first, of a byte of TQ1_0; power: 3^n. */
@inline
function trit(byte: u32, power: u32): u32 {
  return (((byte * power) & 255) * 3) >> 8;
}

/** Weight i of a block of TQ1_0, see formats/tq1_0.ts. */
@inline
function tritAt(src: usize, i: usize): u32 {
  if (i < 160) return trit(load<u8>(src + (i & 31)), powerOf(i >> 5));
  if (i < 240) return trit(load<u8>(src + 32 + (i & 15)), powerOf((i - 160) >> 4));
  return trit(load<u8>(src + 48 + (i & 3)), powerOf((i - 240) >> 2));
}

@inline
function powerOf(n: usize): u32 {
  let power: u32 = 1;
  for (let i: usize = 0; i < n; i++) power *= 3;
  return power;
}

/** A row of TQ1_0 → the same. */
export function unpackTQ1_0(src: usize, dst: usize, scales: usize, stride: usize, columns: i32): void {
  for (const end = dst + (<usize>columns >> 2); dst < end; src += 54, dst += 64, scales += stride) {
    const scale = halfAt(src + 52);
    store<f32>(scales, scale);
    for (let i: usize = 0; i < 64; i++) {
      const first = ((i >> 5) << 7) + (i & 31); // of the byte's four weights, 32 apart
      let byte: u32 = 0;
      for (let k: usize = 0; k < 4; k++) byte = (byte << 2) | tritAt(src, first + (k << 5));
      store<u8>(dst + i, scale == 0 ? ZEROS : byte);
    }
  }
}
