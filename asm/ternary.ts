// Ternary matrix times int8 activations, exact in int32; one weight layout for all forms.
//
// Plain loop:   out[r] = sum over c of (code[r][c] - 1) * x[c]
//
// Layout. Rows go in groups of 8; a group holds, for each 16 columns, two vectors h = 0, 1 of 16 bytes: byte j of vector
// h has column j of rows 4h .. 4h+3, row 4h+k in bits 2k+1:2k. A group is 2 * columns bytes; missing rows of the last
// group are zeros (code 1).
//
// What the fast forms add:
// 1. sum (code - 1) x = sum code x - sum x, and sum x is known from the quantisation: the codes stay unsigned.
// 2. Rows 4h and 4h+2 are masked with 0x03, rows 4h+1 and 4h+3 with 0x0C, after one shift by 4 for the upper pair: the
//    sums of the odd rows are four times too large and are shifted back at the end.
// 3. dot16 multiplies bytes into pairs of int16 and adds up in int16. A pair is at most 2 * 128 * 8 = 2048 in size, so 16
//    steps (256 columns) fit exactly (-32768 included); then it widens to int32.
// 4. Masks come as parameters: V8 12 and later rebuild a v128 constant at every use inside a loop (1.7 times slower).
//
// Preconditions: columns a multiple of 16, w and x 16-byte aligned, |x| <= 128.

export const GROUP: i32 = 8; // rows

/** Masks of the codes of even and odd rows: what the dots get for `low` and `high`. */
export const EVEN_ROWS: i32 = 0x03;
export const ODD_ROWS: i32 = 0x0c;

@inline
function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/** Stores the sums of rows 4h .. 4h+3 of a group: odd rows shifted back, the sum of the activations taken off. */
@inline
function storeRows(out: usize, a: v128, b: v128, c: v128, d: v128, sum: i32): void {
  const rows = sumLanes(a, i32x4.shr_s(b, 2), c, i32x4.shr_s(d, 2));
  v128.store(out, i32x4.sub(rows, i32x4.splat(sum)));
}

@inline
function pairs(x: v128, w: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
}

/** out[8 * groups] int32; relaxed SIMD, int16 accumulation. */
export function ternaryDot16(w: usize, x: usize, out: usize, columns: i32, groups: i32, sum: i32, low: i32, high: i32): void {
  if (!RELAXED) unreachable();
  else {
    const m = i8x16.splat(<i8>low);
    const n = i8x16.splat(<i8>high);
    const xEnd = x + <usize>columns;
    const outEnd = out + <usize>(groups * GROUP << 2);
    for (; out < outEnd; out += 32) {
      let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
      let a = x;
      do {
        const stop = min(a + 256, xEnd);
        let p0 = i16x8.splat(0), p1 = p0, p2 = p0, p3 = p0, p4 = p0, p5 = p0, p6 = p0, p7 = p0;
        do {
          const q = v128.load(a);
          let v = v128.load(w);
          p0 = i16x8.add(p0, pairs(q, v128.and(v, m)));
          p1 = i16x8.add(p1, pairs(q, v128.and(v, n)));
          v = i32x4.shr_u(v, 4);
          p2 = i16x8.add(p2, pairs(q, v128.and(v, m)));
          p3 = i16x8.add(p3, pairs(q, v128.and(v, n)));
          v = v128.load(w, 16);
          p4 = i16x8.add(p4, pairs(q, v128.and(v, m)));
          p5 = i16x8.add(p5, pairs(q, v128.and(v, n)));
          v = i32x4.shr_u(v, 4);
          p6 = i16x8.add(p6, pairs(q, v128.and(v, m)));
          p7 = i16x8.add(p7, pairs(q, v128.and(v, n)));
          w += 32;
          a += 16;
        } while (a < stop);
        s0 = i32x4.add(s0, i32x4.extadd_pairwise_i16x8_s(p0));
        s1 = i32x4.add(s1, i32x4.extadd_pairwise_i16x8_s(p1));
        s2 = i32x4.add(s2, i32x4.extadd_pairwise_i16x8_s(p2));
        s3 = i32x4.add(s3, i32x4.extadd_pairwise_i16x8_s(p3));
        s4 = i32x4.add(s4, i32x4.extadd_pairwise_i16x8_s(p4));
        s5 = i32x4.add(s5, i32x4.extadd_pairwise_i16x8_s(p5));
        s6 = i32x4.add(s6, i32x4.extadd_pairwise_i16x8_s(p6));
        s7 = i32x4.add(s7, i32x4.extadd_pairwise_i16x8_s(p7));
      } while (a < xEnd);
      storeRows(out, s0, s1, s2, s3, sum);
      storeRows(out + 16, s4, s5, s6, s7, sum);
    }
  }
}

@inline
function quads(x: v128, w: v128, acc: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, acc);
}

/** out[8 * groups] int32; relaxed SIMD, int32 accumulation: one instruction where the processor has VNNI. */
export function ternaryDot32(w: usize, x: usize, out: usize, columns: i32, groups: i32, sum: i32, low: i32, high: i32): void {
  if (!RELAXED) unreachable();
  else {
    const m = i8x16.splat(<i8>low);
    const n = i8x16.splat(<i8>high);
    const xEnd = x + <usize>columns;
    const outEnd = out + <usize>(groups * GROUP << 2);
    for (; out < outEnd; out += 32) {
      let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
      let a = x;
      do {
        const q = v128.load(a);
        let v = v128.load(w);
        s0 = quads(q, v128.and(v, m), s0);
        s1 = quads(q, v128.and(v, n), s1);
        v = i32x4.shr_u(v, 4);
        s2 = quads(q, v128.and(v, m), s2);
        s3 = quads(q, v128.and(v, n), s3);
        v = v128.load(w, 16);
        s4 = quads(q, v128.and(v, m), s4);
        s5 = quads(q, v128.and(v, n), s5);
        v = i32x4.shr_u(v, 4);
        s6 = quads(q, v128.and(v, m), s6);
        s7 = quads(q, v128.and(v, n), s7);
        w += 32;
        a += 16;
      } while (a < xEnd);
      storeRows(out, s0, s1, s2, s3, sum);
      storeRows(out + 16, s4, s5, s6, s7, sum);
    }
  }
}

/** acc + codes (unsigned bytes) . x, where x is 16 int8 already widened to two vectors of int16. */
@inline
function widened(acc: v128, codes: v128, x0: v128, x1: v128): v128 {
  const lower = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(codes), x0);
  const upper = i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(codes), x1);
  return i32x4.add(acc, i32x4.add(lower, upper));
}

/** out[8 * groups] int32; baseline SIMD. */
export function ternaryDotBaseline(w: usize, x: usize, out: usize, columns: i32, groups: i32, sum: i32, low: i32, high: i32): void {
  const m = i8x16.splat(<i8>low);
  const n = i8x16.splat(<i8>high);
  const xEnd = x + <usize>columns;
  const outEnd = out + <usize>(groups * GROUP << 2);
  for (; out < outEnd; out += 32) {
    let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    let a = x;
    do {
      const x0 = v128.load8x8_s(a);
      const x1 = v128.load8x8_s(a, 8);
      let v = v128.load(w);
      s0 = widened(s0, v128.and(v, m), x0, x1);
      s1 = widened(s1, v128.and(v, n), x0, x1);
      v = i32x4.shr_u(v, 4);
      s2 = widened(s2, v128.and(v, m), x0, x1);
      s3 = widened(s3, v128.and(v, n), x0, x1);
      v = v128.load(w, 16);
      s4 = widened(s4, v128.and(v, m), x0, x1);
      s5 = widened(s5, v128.and(v, n), x0, x1);
      v = i32x4.shr_u(v, 4);
      s6 = widened(s6, v128.and(v, m), x0, x1);
      s7 = widened(s7, v128.and(v, n), x0, x1);
      w += 32;
      a += 16;
    } while (a < xEnd);
    storeRows(out, s0, s1, s2, s3, sum);
    storeRows(out + 16, s4, s5, s6, s7, sum);
  }
}

/** out[i] = acc[i] * factor for n rows; where addTo is not 0, addTo[i] += out[i]. */
export function ternaryScale(acc: usize, out: usize, addTo: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  const vectorEnd = acc + (<usize>(n & ~3) << 2);
  const end = acc + (<usize>n << 2);
  for (; acc < vectorEnd; acc += 16, out += 16) {
    const y = f32x4.mul(f32x4.convert_i32x4_s(v128.load(acc)), f);
    v128.store(out, y);
    if (addTo) {
      v128.store(addTo, f32x4.add(v128.load(addTo), y));
      addTo += 16;
    }
  }
  for (; acc < end; acc += 4, out += 4) {
    const y = <f32>load<i32>(acc) * factor;
    store<f32>(out, y);
    if (addTo) {
      store<f32>(addTo, load<f32>(addTo) + y);
      addTo += 4;
    }
  }
}

/** The codes of 16 columns of one row, in bits 1:0 of each byte; chunk c of the 8 in a block of 128 columns. */
@inline
function codesOf(block: usize, chunk: i32): v128 {
  const bytes = v128.load(block + (<usize>(chunk & 1) << 4));
  return v128.and(i16x8.shr_u(bytes, 6 - 2 * (chunk >> 1)), i8x16.splat(3));
}

/**
 * Repacks `rows` rows of a row-major I2_S matrix (128 columns in 32 bytes: byte b has column b in bits 7:6, 32 + b in
 * 5:4, 64 + b in 3:2, 96 + b in 1:0) into groups of 8. Returns a number other than 0 if a code is 3.
 * Preconditions: columns a multiple of 128.
 */
export function ternaryPack(src: usize, dst: usize, columns: i32, rows: i32): i32 {
  const rowBytes = <usize>columns >> 2;
  const ones = i8x16.splat(1);
  let invalid = i8x16.splat(0);
  for (let row = 0; row < rows; row += GROUP) {
    for (let column = 0; column < columns; column += 128) {
      const block = src + (<usize>column >> 2);
      for (let chunk = 0; chunk < 8; chunk++) {
        for (let h = 0; h < 2; h++) {
          let packed = i8x16.splat(0);
          for (let k = 3; k >= 0; k--) {
            const r = 4 * h + k;
            const codes = row + r < rows ? codesOf(block + <usize>r * rowBytes, chunk) : ones;
            invalid = v128.or(invalid, v128.and(codes, i16x8.shr_u(codes, 1)));
            packed = v128.or(i16x8.shl(packed, 2), codes);
          }
          v128.store(dst, packed);
          dst += 16;
        }
      }
    }
    src += rowBytes * GROUP;
  }
  return i32(v128.any_true(v128.and(invalid, ones)));
}
