// Dense float tables: the embedding lookup and the output head.
//
// Plain loop:   out[r] = sum over c of float(table[r][c]) * x[c]
//
// A row is decoded to float32 first (exactly: every value of these formats is a float32) and then multiplied, so that
// all formats share one summation tree; F16, the format of the official file, is decoded inside the dot, which saves a
// store and a load for each element and changes no bit.
//
// Preconditions: n a multiple of 16 (F32, F16, BF16), 32 (Q8_0), 256 (Q6_K).

import { sumTree } from "./reduce";

/** x . y over n float32 */
export function dotF32(x: usize, y: usize, n: i32): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const end = x + (<usize>n << 2);
  for (; x < end; x += 64, y += 64) {
    a = f32x4.add(a, f32x4.mul(v128.load(x), v128.load(y)));
    b = f32x4.add(b, f32x4.mul(v128.load(x, 16), v128.load(y, 16)));
    c = f32x4.add(c, f32x4.mul(v128.load(x, 32), v128.load(y, 32)));
    d = f32x4.add(d, f32x4.mul(v128.load(x, 48), v128.load(y, 48)));
  }
  return sumTree(a, b, c, d);
}

// Half to float: the 16 bits in the upper half of a lane, shifted right by 3 with the sign kept, are a float32 whose
// exponent is 112 too small; a multiplication by 2^112 corrects it, for subnormal halves as well. The shuffles are the
// patterns that V8 turns into one instruction each.
@inline
function halvesLow(v: v128, m: v128, scale: v128): v128 {
  const wide = v128.shuffle<i16>(i16x8.splat(0), v, 0, 8, 1, 9, 2, 10, 3, 11);
  return f32x4.mul(v128.and(i32x4.shr_s(wide, 3), m), scale);
}

@inline
function halvesHigh(v: v128, m: v128, scale: v128): v128 {
  const wide = v128.shuffle<i16>(i16x8.splat(0), v, 4, 12, 5, 13, 6, 14, 7, 15);
  return f32x4.mul(v128.and(i32x4.shr_s(wide, 3), m), scale);
}

export const HALF_MASK: i32 = 0x8fffe000;
export const HALF_SCALE: f32 = 5.192296858534828e33; // 2^112

/**
 * table[rows][n] F16 times x[n] float32 → out[rows]. The table's values are finite, which loading sees to (finite.ts): here
 * alone infinity and NaN would be decoded as finite numbers, since to look for them takes 60 % more time in the cache. mask
 * and scale as parameters for the reason given in ternary.ts.
 */
export function logitsF16(table: usize, x: usize, out: usize, n: i32, rows: i32, mask: i32, half: f32): void {
  const m = i32x4.splat(mask);
  const scale = f32x4.splat(half);
  const outEnd = out + (<usize>rows << 2);
  const xEnd = x + (<usize>n << 2);
  for (; out < outEnd; out += 4) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let p = x; p < xEnd; p += 64) {
      const v = v128.load(table), w = v128.load(table, 16);
      a = f32x4.add(a, f32x4.mul(halvesLow(v, m, scale), v128.load(p)));
      b = f32x4.add(b, f32x4.mul(halvesHigh(v, m, scale), v128.load(p, 16)));
      c = f32x4.add(c, f32x4.mul(halvesLow(w, m, scale), v128.load(p, 32)));
      d = f32x4.add(d, f32x4.mul(halvesHigh(w, m, scale), v128.load(p, 48)));
      table += 32;
    }
    store<f32>(out, sumTree(a, b, c, d));
  }
}

export function decodeF32(src: usize, dst: usize, n: i32): void {
  memory.copy(dst, src, <usize>n << 2);
}

export function decodeF16(src: usize, dst: usize, n: i32): void {
  const m = i32x4.splat(HALF_MASK), scale = f32x4.splat(HALF_SCALE);
  const exponent = i32x4.splat(0x7c007c00), low = i32x4.splat(0x04000400);
  let special = i32x4.splat(0);
  const begin = dst, end = dst + (<usize>n << 2);
  for (; dst < end; src += 16, dst += 32) {
    const v = v128.load(src);
    v128.store(dst, halvesLow(v, m, scale));
    v128.store(dst, halvesHigh(v, m, scale), 16);
    special = v128.or(special, i32x4.add(v128.and(v, exponent), low)); // as in finite.ts
  }
  if (v128.any_true(v128.and(special, i32x4.splat(0x80008000)))) restore(begin, end);
}

/** Infinities and NaN in the place of what the exponent 31 of a half became: 65,536 and more. */
function restore(at: usize, end: usize): void {
  for (; at < end; at += 16) {
    const v = v128.load(at);
    const special = f32x4.ge(f32x4.abs(v), f32x4.splat(65536));
    v128.store(at, v128.or(v, v128.and(special, i32x4.splat(0x7f800000))));
  }
}

export function decodeBF16(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  for (; dst < end; src += 2, dst += 4) store<u32>(dst, <u32>load<u16>(src) << 16);
}

@inline
function halfAt(src: usize): f32 {
  const bits = <i32>load<u16>(src) << 16;
  const value = reinterpret<f32>((bits >> 3) & HALF_MASK) * HALF_SCALE;
  return abs(value) < 65536 ? value : reinterpret<f32>(reinterpret<i32>(value) | 0x7f800000); // as in `restore`
}

/** Blocks of 32 in 34 bytes: one f16 scale, 32 int8. */
export function decodeQ8_0(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  for (; dst < end; src += 34, dst += 128) {
    const d = halfAt(src);
    for (let i: usize = 0; i < 32; i++) store<f32>(dst + (i << 2), d * <f32>load<i8>(src + 2 + i));
  }
}

/**
 * Blocks of 256 in 210 bytes: 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales, one f16 scale. In a half
 * of 128 values, value 32 g + i has its low nibble in byte 32 (g mod 2) + i, upper nibble for g >= 2, its bit pair in
 * bits 2g+1:2g of byte i, and scale 2 g + i / 16.
 */
export function decodeQ6_K(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  for (; dst < end; src += 210) {
    const d = halfAt(src + 208);
    for (let half: usize = 0; half < 2; half++) {
      const low = src + (half << 6), high = src + 128 + (half << 5), scales = src + 192 + (half << 3);
      for (let g: usize = 0; g < 4; g++) {
        for (let i: usize = 0; i < 32; i++, dst += 4) {
          const nibble = (load<u8>(low + ((g & 1) << 5) + i) >> u8((g >> 1) << 2)) & 15;
          const pair = (load<u8>(high + i) >> u8(g << 1)) & 3;
          const scale = <f32>load<i8>(scales + (g << 1) + (i >> 4));
          store<f32>(dst, d * scale * <f32>(<i32>(nibble | (pair << 4)) - 32));
        }
      }
    }
  }
}
