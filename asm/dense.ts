// Dense float tables: the embedding lookup and the output head.
//
// Plain loop:   out[r] = sum over c of float(table[r][c]) * x[c]
//
// A row is decoded to float32 first (exactly: every value of these formats is a float32) and then multiplied, so that
// all formats of this file share one summation tree. For one row of x, F16 and BF16 are decoded inside the dot, which saves a
// store and a load for each element and changes no bit. Blocks of 32 have products of their own, see packed.ts.
//
// Preconditions: n a multiple of 16 (F32, F16, BF16), else of the type's block.

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

/** Elements 0 .. 3, or 4 .. 7, of eight of 16 bits, as float32. */
@inline
function lower(isF16: bool, v: v128, m: v128, scale: v128): v128 {
  return isF16 ? halvesLow(v, m, scale) : v128.shuffle<i16>(i16x8.splat(0), v, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
function upper(isF16: bool, v: v128, m: v128, scale: v128): v128 {
  return isF16 ? halvesHigh(v, m, scale) : v128.shuffle<i16>(i16x8.splat(0), v, 4, 12, 5, 13, 6, 14, 7, 15);
}

@inline
function logits16(isF16: bool, table: usize, x: usize, out: usize, n: i32, rows: i32, mask: i32, half: f32): void {
  const m = i32x4.splat(mask);
  const scale = f32x4.splat(half);
  const outEnd = out + (<usize>rows << 2);
  const xEnd = x + (<usize>n << 2);
  for (; out < outEnd; out += 4) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let p = x; p < xEnd; p += 64) {
      const v = v128.load(table), w = v128.load(table, 16);
      a = f32x4.add(a, f32x4.mul(lower(isF16, v, m, scale), v128.load(p)));
      b = f32x4.add(b, f32x4.mul(upper(isF16, v, m, scale), v128.load(p, 16)));
      c = f32x4.add(c, f32x4.mul(lower(isF16, w, m, scale), v128.load(p, 32)));
      d = f32x4.add(d, f32x4.mul(upper(isF16, w, m, scale), v128.load(p, 48)));
      table += 32;
    }
    store<f32>(out, sumTree(a, b, c, d));
  }
}

/**
 * table[rows][n] F16 times x[n] float32 → out[rows]. The table's values are finite, which loading sees to (finite.ts): here
 * alone infinity and NaN would be decoded as finite numbers, since to look for them takes 60 % more time in the cache. mask
 * and scale as parameters for the reason given in ternary.ts.
 */
export function logitsF16(table: usize, x: usize, out: usize, n: i32, rows: i32, mask: i32, half: f32): void {
  logits16(true, table, x, out, n, rows, mask, half);
}

/** The same of BF16. */
export function logitsBF16(table: usize, x: usize, out: usize, n: i32, rows: i32): void {
  logits16(false, table, x, out, n, rows, 0, 0);
}

/** row[n] float32 times x[count][n] → out[count], `outStride` bytes apart: the sums of dotF32, two rows of x at a time. */
export function dotRows(row: usize, x: usize, out: usize, outStride: usize, n: i32, count: i32): void {
  const bytes = <usize>n << 2;
  const end = row + bytes;
  for (; count >= 2; count -= 2, x += 2 * bytes, out += 2 * outStride) {
    let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (let p = row, q = x; p < end; p += 64, q += 64) {
      const r = q + bytes;
      let w = v128.load(p);
      a = f32x4.add(a, f32x4.mul(w, v128.load(q)));
      e = f32x4.add(e, f32x4.mul(w, v128.load(r)));
      w = v128.load(p, 16);
      b = f32x4.add(b, f32x4.mul(w, v128.load(q, 16)));
      f = f32x4.add(f, f32x4.mul(w, v128.load(r, 16)));
      w = v128.load(p, 32);
      c = f32x4.add(c, f32x4.mul(w, v128.load(q, 32)));
      g = f32x4.add(g, f32x4.mul(w, v128.load(r, 32)));
      w = v128.load(p, 48);
      d = f32x4.add(d, f32x4.mul(w, v128.load(q, 48)));
      h = f32x4.add(h, f32x4.mul(w, v128.load(r, 48)));
    }
    store<f32>(out, sumTree(a, b, c, d));
    store<f32>(out + outStride, sumTree(e, f, g, h));
  }
  if (count > 0) store<f32>(out, dotF32(row, x, n));
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
export function halfAt(src: usize): f32 {
  const bits = <i32>load<u16>(src) << 16;
  const value = reinterpret<f32>((bits >> 3) & HALF_MASK) * HALF_SCALE;
  return abs(value) < 65536 ? value : reinterpret<f32>(reinterpret<i32>(value) | 0x7f800000); // as in `restore`
}

/** 16 int8 times d, as float32. */
@inline
function scaled16(q: v128, d: v128, dst: usize): void {
  const low = i16x8.extend_low_i8x16_s(q), high = i16x8.extend_high_i8x16_s(q);
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), d));
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), d), 16);
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), d), 32);
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), d), 48);
}

/** Blocks of 32 in 34 bytes: one f16 scale, 32 int8. */
export function decodeQ8_0(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  for (; dst < end; src += 34, dst += 128) {
    const d = f32x4.splat(halfAt(src));
    scaled16(v128.load(src, 2), d, dst);
    scaled16(v128.load(src, 18), d, dst + 64);
  }
}

/** Blocks of 32 in 18 bytes: one f16 scale, 16 low nibbles, 16 high ones; 8 is 0. */
export function decodeQ4_0(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  const eight = i8x16.splat(8);
  for (; dst < end; src += 18, dst += 128) {
    const d = f32x4.splat(halfAt(src));
    const v = v128.load(src, 2);
    scaled16(i8x16.sub(v128.and(v, i8x16.splat(15)), eight), d, dst);
    scaled16(i8x16.sub(i8x16.shr_u(v, 4), eight), d, dst + 64);
  }
}

/** Blocks of 256 in 144 bytes: see formats/q4_k.ts. */
export function decodeQ4_K(src: usize, dst: usize, n: i32): void {
  const end = dst + (<usize>n << 2);
  for (; dst < end; src += 144) {
    const d = halfAt(src), dmin = halfAt(src + 2);
    for (let j: usize = 0; j < 8; j++) {
      const at = src + 4 + j;
      const low = j < 4 ? 0 : <i32>load<u8>(at, 4);
      const scale = j < 4 ? load<u8>(at) & 63 : (low & 15) | ((load<u8>(at - 4) >> 6) << 4);
      const minimum = j < 4 ? load<u8>(at, 4) & 63 : (low >> 4) | ((load<u8>(at) >> 6) << 4);
      const a = d * <f32>scale, b = dmin * <f32>minimum;
      const q = src + 16 + ((j >> 1) << 5);
      for (let i: usize = 0; i < 32; i++, dst += 4) {
        store<f32>(dst, a * <f32>((load<u8>(q + i) >> <u8>((j & 1) << 2)) & 15) - b);
      }
    }
  }
}

/** Blocks of `block` codes: one f16 scale, then code - 1 of weight j in bits 2 (j mod 4) of byte j / 4. */
@inline
function decodeCodes(src: usize, dst: usize, n: i32, block: usize): void {
  const end = dst + (<usize>n << 2);
  const three = i8x16.splat(3), one = i8x16.splat(1);
  for (; dst < end; src += 2 + (block >> 2)) {
    const d = f32x4.splat(halfAt(src));
    for (let i: usize = 0; i < block; i += 64, dst += 256) {
      const v = v128.load(src + 2 + (i >> 2));
      const a = v128.and(v, three), b = v128.and(i16x8.shr_u(v, 2), three);
      const c = v128.and(i16x8.shr_u(v, 4), three), e = v128.and(i16x8.shr_u(v, 6), three);
      // byte m of a, b, c, e are weights 4m .. 4m + 3
      const ab0 = v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const ab1 = v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const ce0 = v128.shuffle<i8>(c, e, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const ce1 = v128.shuffle<i8>(c, e, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      scaled16(i8x16.sub(v128.shuffle<i16>(ab0, ce0, 0, 8, 1, 9, 2, 10, 3, 11), one), d, dst);
      scaled16(i8x16.sub(v128.shuffle<i16>(ab0, ce0, 4, 12, 5, 13, 6, 14, 7, 15), one), d, dst + 64);
      scaled16(i8x16.sub(v128.shuffle<i16>(ab1, ce1, 0, 8, 1, 9, 2, 10, 3, 11), one), d, dst + 128);
      scaled16(i8x16.sub(v128.shuffle<i16>(ab1, ce1, 4, 12, 5, 13, 6, 14, 7, 15), one), d, dst + 192);
    }
  }
}

export function decodeQ2_0(src: usize, dst: usize, n: i32): void {
  decodeCodes(src, dst, n, 64);
}

export function decodePQ2_0(src: usize, dst: usize, n: i32): void {
  decodeCodes(src, dst, n, 128);
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
