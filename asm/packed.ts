// Matrices of quantised blocks of 32 (Q8_0, Q4_0) times float activations, read as the file has them.
//
// Plain loop:   out[r] = sum over blocks b of d[r][b] * sum over c in b of q[r][c] * x[c]
//
// What the fast version adds:
// 1. x is not rounded to the 8 bits of a weight, but brought to fixed point once for all rows of a matrix: in each block of 32
//    it is a power of two times (high + low / 2^15), integers of 15 bits with their sign. What is 2^-5 of the block's largest or
//    more is kept in all its 24 bits, and of smaller ones 2^-29 of the largest is lost, less than a float sum loses.
// 2. The sums of a block are then integers, by i32x4.dot_i16x8_s: eight products an instruction in place of four, and no
//    conversion of each weight. A lane adds up 8 of them, at most 8 * 128 * 2^14 = 2^24 in size, which float32 holds exactly.
// 3. `rows...` takes four rows of the table for one row of x, `tile...` one row of the table for four rows of x: a weight is
//    widened once for the four. Both do the same sums in the same order, the blocks one after another: the same bits.
//
// Layout of fixed point: for each 32 columns 64 bytes of `high`, 64 of `low`; the factors of a block of all rows of x are
// neighbours, `stride` bytes from those of the next block. Preconditions: n a multiple of 32; the scales in the table are finite.

import { largerMagnitude, largestMagnitude, roundToInt } from "./reduce";

export const FIXED_BLOCK: i32 = 32; // columns
export const FIXED_UNIT: f32 = 1.0 / 32768; // of `low`
const FIXED_BYTES: usize = 128; // of a block's integers

const Q8_0: usize = 34; // bytes of a block
const Q4_0: usize = 18;

/** Brings 8 floats times `up` to integers. */
@inline
function split(x: usize, to: usize, up: v128): void {
  const a = f32x4.mul(v128.load(x), up), b = f32x4.mul(v128.load(x, 16), up); // exact: up is a power of two
  const high0 = roundToInt(a), high1 = roundToInt(b);
  const rest0 = f32x4.sub(a, f32x4.convert_i32x4_s(high0)), rest1 = f32x4.sub(b, f32x4.convert_i32x4_s(high1));
  const fine = f32x4.splat(1 / FIXED_UNIT);
  v128.store(to, i16x8.narrow_i32x4_s(high0, high1));
  v128.store(to, i16x8.narrow_i32x4_s(roundToInt(f32x4.mul(rest0, fine)), roundToInt(f32x4.mul(rest1, fine))), 64);
}

/** x[n] float32 → fixed point at `to`, the factor of block b at factors + b * stride; infinite where a float of it is not finite. */
export function fixedPoint(x: usize, to: usize, factors: usize, stride: usize, n: i32): void {
  for (const end = x + (<usize>n << 2); x < end; x += 128, to += FIXED_BYTES, factors += stride) {
    let m = f32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 16) m = largerMagnitude(m, v128.load(x + i));
    // the power of two below the largest, at least 2^-100
    const power = reinterpret<f32>(max(reinterpret<i32>(largestMagnitude(m)) & 0x7f800000, 0x0d800000));
    const up = f32x4.splat(8192 / power);
    for (let i: usize = 0; i < 4; i++) split(x + (i << 5), to + (i << 4), up);
    store<f32>(factors, power / 8192);
  }
}

/** The sums of 32 weights, 8 in each of w0 .. w3, in four lanes; fine: 2^-15. */
@inline
function products(w0: v128, w1: v128, w2: v128, w3: v128, x: usize, fine: v128): v128 {
  const a = i32x4.add(i32x4.dot_i16x8_s(w0, v128.load(x)), i32x4.dot_i16x8_s(w1, v128.load(x, 16)));
  const b = i32x4.add(i32x4.dot_i16x8_s(w2, v128.load(x, 32)), i32x4.dot_i16x8_s(w3, v128.load(x, 48)));
  const c = i32x4.add(i32x4.dot_i16x8_s(w0, v128.load(x, 64)), i32x4.dot_i16x8_s(w1, v128.load(x, 80)));
  const d = i32x4.add(i32x4.dot_i16x8_s(w2, v128.load(x, 96)), i32x4.dot_i16x8_s(w3, v128.load(x, 112)));
  const high = f32x4.convert_i32x4_s(i32x4.add(a, b)), low = f32x4.convert_i32x4_s(i32x4.add(c, d));
  return f32x4.add(high, f32x4.mul(low, fine));
}

/** Weights 8 i .. 8 i + 7 of a block of `size` bytes. */
@inline
function weights(size: usize, block: usize, i: i32): v128 {
  if (size == Q8_0) return v128.load8x8_s(block + (<usize>i << 3), 2);
  const v = v128.load(block, 2); // the low nibbles are the first 16 weights
  const nibbles = v128.and(i < 2 ? v : i16x8.shr_u(v, 4), i8x16.splat(15));
  const q = i8x16.sub(nibbles, i8x16.splat(8));
  return (i & 1) == 0 ? i16x8.extend_low_i8x16_s(q) : i16x8.extend_high_i8x16_s(q);
}

/** acc + scale times the sums of a block. */
@inline
function addBlock(acc: v128, size: usize, at: usize, x: usize, fine: v128, scale: v128): v128 {
  const w0 = weights(size, at, 0), w1 = weights(size, at, 1), w2 = weights(size, at, 2), w3 = weights(size, at, 3);
  return f32x4.add(acc, f32x4.mul(products(w0, w1, w2, w3, x, fine), scale));
}

/** The sums over the lanes of each. */
@inline
function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/**
 * Four finite halves in the upper 16 bits of the lanes, as float32. Not by a multiplication as in dense.ts, which takes a
 * subnormal half for a subnormal float32: such scales are common in Q8_0, and made these kernels three times as slow. m:
 * HALF_MASK; fine: 2^-15, whose bits are what the exponents differ by.
 */
@inline
function halves(v: v128, m: v128, fine: v128): v128 {
  const sign = i32x4.shl(i32x4.shr_u(m, 31), 31), one = i32x4.shr_u(sign, 8); // an exponent of 1
  const bits = v128.and(i32x4.shr_s(v, 3), m);
  const magnitude = v128.andnot(bits, sign);
  const subnormal = i32x4.lt_s(magnitude, one); // gets an exponent, and its implicit 1 is taken off
  const raised = i32x4.add(i32x4.add(magnitude, fine), v128.and(subnormal, one));
  const value = f32x4.sub(raised, v128.and(subnormal, i32x4.add(fine, one)));
  return v128.or(value, v128.and(bits, sign));
}

/** The scales of four blocks; put together as integers, since loads into lanes take twice the time of all the rest (Node.js 20). */
@inline
function scales(a: usize, b: usize, c: usize, d: usize, m: v128, fine: v128): v128 {
  const low = (<u64>load<u16>(a) << 16) | (<u64>load<u16>(b) << 48);
  const high = (<u64>load<u16>(c) << 16) | (<u64>load<u16>(d) << 48);
  return halves(i64x2.replace_lane(i64x2.splat(low), 1, high), m, fine);
}

@inline
function scale(block: usize, m: v128, fine: v128): v128 {
  return halves(i32x4.splat(<i32>load<u16>(block) << 16), m, fine);
}

/** Stores the first `count` lanes, `stride` bytes apart. */
@inline
function storeLanes(out: usize, stride: usize, sums: v128, count: i32): void {
  v128.store32_lane(out, sums, 0);
  if (count > 1) v128.store32_lane(out + stride, sums, 1);
  if (count > 2) v128.store32_lane(out + 2 * stride, sums, 2);
  if (count > 3) v128.store32_lane(out + 3 * stride, sums, 3);
}

/** table[rows][n] of blocks of `size` bytes times one row of x, in fixed point → out[rows]. */
@inline
function multiplyRows(
  size: usize, table: usize, x: usize, factors: usize, stride: usize, out: usize, n: i32, rows: i32, mask: i32, unit: f32,
): void {
  const m = i32x4.splat(mask), fine = f32x4.splat(unit);
  const rowBytes = <usize>(n / FIXED_BLOCK) * size;
  const last = table + <usize>(rows - 1) * rowBytes;
  const end = x + (<usize>n << 2);
  for (; rows > 0; rows -= 4, table += 4 * rowBytes, out += 16) {
    let a = table, b = min(a + rowBytes, last), c = min(a + 2 * rowBytes, last), d = min(a + 3 * rowBytes, last);
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (let p = x, f = factors; p < end; p += FIXED_BYTES, f += stride) {
      const s = f32x4.mul(scales(a, b, c, d, m, fine), v128.load32_splat(f));
      s0 = addBlock(s0, size, a, p, fine, v128.shuffle<i32>(s, s, 0, 0, 0, 0));
      s1 = addBlock(s1, size, b, p, fine, v128.shuffle<i32>(s, s, 1, 1, 1, 1));
      s2 = addBlock(s2, size, c, p, fine, v128.shuffle<i32>(s, s, 2, 2, 2, 2));
      s3 = addBlock(s3, size, d, p, fine, v128.shuffle<i32>(s, s, 3, 3, 3, 3));
      a += size;
      b += size;
      c += size;
      d += size;
    }
    storeLanes(out, 4, sumLanes(s0, s1, s2, s3), rows);
  }
}

/**
 * The same times four rows of x, one after another, their factors neighbours → out[4][rows], rows of out `outStride` bytes
 * apart.
 */
@inline
function multiplyTile(
  size: usize, table: usize, x: usize, factors: usize, stride: usize, out: usize, outStride: usize, n: i32, rows: i32,
  mask: i32, unit: f32,
): void {
  const m = i32x4.splat(mask), fine = f32x4.splat(unit);
  const xRow = <usize>n << 2;
  const end = x + xRow;
  for (; rows > 0; rows--, out += 4) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (let p = x, f = factors; p < end; p += FIXED_BYTES, f += stride, table += size) {
      const s = f32x4.mul(scale(table, m, fine), v128.load(f));
      const w0 = weights(size, table, 0), w1 = weights(size, table, 1), w2 = weights(size, table, 2), w3 = weights(size, table, 3);
      s0 = f32x4.add(s0, f32x4.mul(products(w0, w1, w2, w3, p, fine), v128.shuffle<i32>(s, s, 0, 0, 0, 0)));
      s1 = f32x4.add(s1, f32x4.mul(products(w0, w1, w2, w3, p + xRow, fine), v128.shuffle<i32>(s, s, 1, 1, 1, 1)));
      s2 = f32x4.add(s2, f32x4.mul(products(w0, w1, w2, w3, p + 2 * xRow, fine), v128.shuffle<i32>(s, s, 2, 2, 2, 2)));
      s3 = f32x4.add(s3, f32x4.mul(products(w0, w1, w2, w3, p + 3 * xRow, fine), v128.shuffle<i32>(s, s, 3, 3, 3, 3)));
    }
    storeLanes(out, outStride, sumLanes(s0, s1, s2, s3), 4);
  }
}

// mask and unit (2^-15) as parameters for the reason given in ternary.ts

export function rowsQ8_0(table: usize, x: usize, factors: usize, stride: usize, out: usize, n: i32, rows: i32, mask: i32, unit: f32): void {
  multiplyRows(Q8_0, table, x, factors, stride, out, n, rows, mask, unit);
}

export function rowsQ4_0(table: usize, x: usize, factors: usize, stride: usize, out: usize, n: i32, rows: i32, mask: i32, unit: f32): void {
  multiplyRows(Q4_0, table, x, factors, stride, out, n, rows, mask, unit);
}

export function tileQ8_0(
  table: usize, x: usize, factors: usize, stride: usize, out: usize, outStride: usize, n: i32, rows: i32,
  mask: i32, unit: f32,
): void {
  multiplyTile(Q8_0, table, x, factors, stride, out, outStride, n, rows, mask, unit);
}

export function tileQ4_0(
  table: usize, x: usize, factors: usize, stride: usize, out: usize, outStride: usize, n: i32, rows: i32,
  mask: i32, unit: f32,
): void {
  multiplyTile(Q4_0, table, x, factors, stride, out, outStride, n, rows, mask, unit);
}
