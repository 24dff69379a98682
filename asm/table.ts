// Ternary matrix times many rows of activations, by tables and without a multiplication; same weights and same exact
// sums as ternary.ts, lanes are the rows of the batch ("tokens").
//
// Plain loop:   acc[r][t] = sum over c of (code[r][c] - 1) * x[t][c]
//
// What the fast form adds ("four Russians"):
// 1. 64 tokens go together, one int16 lane each: an entry is 128 bytes, eight vectors, and the fewer instructions for each
//    that find it. Tiles of 32 are for what is left of a batch.
// 2. For each group of 4 columns all 81 sums of (code - 1) * x are built once; a weight's part is then one load and one
//    add for each vector, found by the index code0 + 3 code1 + 9 code2 + 27 code3.
// 3. The columns of a group are j, 16 + j, 32 + j, 48 + j of a block of 64, so that 16 indices come out of vectors.
// 4. Tables of 16 groups at a time: with 64 of them it was 1.6 times slower where the L2 cache has 512 KB.
// 5. Indices are made for 192 columns and all rows first: that reads the weights in long runs, where 64 columns a time
//    waited for memory at every group.
// 6. int16 sums hold 192 columns, at most 192 * 128 = 24576 in size, then widen to int32. (256 would do but for +32768.)
//
// Preconditions: columns a multiple of 64; x has 32 or 64 rows, whatever the number of tokens (lanes never mix).

export const TABLE_ENTRIES: usize = 81; // lines of one group's table; a line is one int16 for each token of the tile
export const TABLE_BLOCK: i32 = 64; // columns whose tables are in use at a time: 166 KB
export const TABLE_RUN: i32 = 192; // columns that int16 sums before it widens
export const TILE: i32 = 64; // tokens of the larger tile

@inline
function low(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function high(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Columns 2i and 2i + 1 of 8 tokens, widened. */
@inline
function storePair(out: usize, line: usize, pair: v128): void {
  v128.store(out, i16x8.extend_low_i8x16_s(pair));
  v128.store(out + line, i16x8.extend_high_i8x16_s(pair));
}

/** x (tile, columns) int8 → out (columns, tile) int16. Interleaves rows (0,4) (1,5) .., then (0,2) .., then (0,1). */
export function tableTranspose(x: usize, out: usize, columns: i32, tile: i32): void {
  const row = <usize>columns, line = <usize>tile << 1;
  for (let t: usize = 0; t < <usize>tile; t += 8) {
    for (let c: usize = 0; c < row; c += 16) {
      const p = x + t * row + c;
      const x0 = v128.load(p), x1 = v128.load(p + row), x2 = v128.load(p + 2 * row), x3 = v128.load(p + 3 * row);
      const q = p + 4 * row;
      const x4 = v128.load(q), x5 = v128.load(q + row), x6 = v128.load(q + 2 * row), x7 = v128.load(q + 3 * row);
      const a0 = low(x0, x4), a1 = low(x1, x5), a2 = low(x2, x6), a3 = low(x3, x7);
      const b0 = low(a0, a2), b1 = low(a1, a3), b2 = high(a0, a2), b3 = high(a1, a3);
      const to = out + c * line + t * 2;
      storePair(to, line, low(b0, b1));
      storePair(to + 2 * line, line, high(b0, b1));
      storePair(to + 4 * line, line, low(b2, b3));
      storePair(to + 6 * line, line, high(b2, b3));
      const c0 = high(x0, x4), c1 = high(x1, x5), c2 = high(x2, x6), c3 = high(x3, x7);
      const d0 = low(c0, c2), d1 = low(c1, c3), d2 = high(c0, c2), d3 = high(c1, c3);
      storePair(to + 8 * line, line, low(d0, d1));
      storePair(to + 10 * line, line, high(d0, d1));
      storePair(to + 12 * line, line, low(d2, d3));
      storePair(to + 14 * line, line, high(d2, d3));
    }
  }
}

/** The 81 entries of columns j, 16 + j, 32 + j, 48 + j; x is column j of the block. */
function buildTable(x: usize, table: usize, line: usize): void {
  const step = line << 4;
  for (let v: usize = 0; v < line; v += 16) {
    const p = x + v;
    const x0 = v128.load(p), x1 = v128.load(p + step), x2 = v128.load(p + 2 * step), x3 = v128.load(p + 3 * step);
    let t = table + v;
    let s3 = i16x8.neg(i16x8.add(i16x8.add(x0, x1), i16x8.add(x2, x3)));
    for (let i = 0; i < 3; i++) {
      let s2 = s3;
      for (let j = 0; j < 3; j++) {
        let s1 = s2;
        for (let k = 0; k < 3; k++) {
          v128.store(t, s1);
          const s0 = i16x8.add(s1, x0);
          v128.store(t + line, s0);
          v128.store(t + 2 * line, i16x8.add(s0, x0));
          t += 3 * line;
          s1 = i16x8.add(s1, x1);
        }
        s2 = i16x8.add(s2, x2);
      }
      s3 = i16x8.add(s3, x3);
    }
  }
}

@inline
function field(v: v128, shift: i32, m: v128): v128 {
  return v128.and(i16x8.shr_u(v, shift), m);
}

@inline
function threefold(v: v128): v128 {
  return i8x16.add(v, i8x16.add(v, v));
}

/** Base-3 indices of one row for a block of 64 columns, from the four chunks of 16 columns. */
@inline
function indices(c0: v128, c1: v128, c2: v128, c3: v128, shift: i32, m: v128): v128 {
  const upper = i8x16.add(field(c2, shift, m), threefold(field(c3, shift, m)));
  const lower = i8x16.add(field(c0, shift, m), threefold(field(c1, shift, m)));
  return i8x16.add(lower, threefold(threefold(upper)));
}

/** Indices of the 8 rows of a group for a block of 64 columns: row r at index + 16 r. */
@inline
function groupIndices(w: usize, index: usize, m: v128): void {
  for (let h = 0; h < 2; h++, w += 16, index += 64) {
    const c0 = v128.load(w), c1 = v128.load(w, 32), c2 = v128.load(w, 64), c3 = v128.load(w, 96);
    v128.store(index, indices(c0, c1, c2, c3, 0, m));
    v128.store(index, indices(c0, c1, c2, c3, 2, m), 16);
    v128.store(index, indices(c0, c1, c2, c3, 4, m), 32);
    v128.store(index, indices(c0, c1, c2, c3, 6, m), 48);
  }
}

/** Indices of all groups for `blocks` blocks of 64 columns: (blocks, 8 * groups, 16) bytes. */
function allIndices(w: usize, groupBytes: usize, groups: i32, blocks: i32, index: usize, mask: i32): void {
  const m = i8x16.splat(<i8>mask);
  const blockBytes = <usize>groups << 7;
  for (let g = 0; g < groups; g++, w += groupBytes, index += 128) {
    for (let b: usize = 0; b < <usize>blocks; b++) groupIndices(w + (b << 7), index + b * blockBytes, m);
  }
}

/** acc16[rows][32] += the sums of one block of 64 columns, by its 16 tables; index: (rows, 16) bytes. */
function addBlock32(index: usize, rows: i32, acc16: usize, tables: usize): void {
  const indexEnd = index + (<usize>rows << 4);
  for (; index < indexEnd; acc16 += 64) {
    let s0 = v128.load(acc16), s1 = v128.load(acc16, 16), s2 = v128.load(acc16, 32), s3 = v128.load(acc16, 48);
    const end = index + 16;
    for (let table = tables; index < end; index++, table += TABLE_ENTRIES * 64) {
      const entry = table + <usize>load<u8>(index) * 64;
      s0 = i16x8.add(s0, v128.load(entry));
      s1 = i16x8.add(s1, v128.load(entry, 16));
      s2 = i16x8.add(s2, v128.load(entry, 32));
      s3 = i16x8.add(s3, v128.load(entry, 48));
    }
    v128.store(acc16, s0);
    v128.store(acc16, s1, 16);
    v128.store(acc16, s2, 32);
    v128.store(acc16, s3, 48);
  }
}

/** The same for 64 tokens. Of one function for both the optimiser leaves a branch in the loop: tiles of 32 were 6 % slower. */
function addBlock64(index: usize, rows: i32, acc16: usize, tables: usize): void {
  const indexEnd = index + (<usize>rows << 4);
  for (; index < indexEnd; acc16 += 128) {
    let s0 = v128.load(acc16), s1 = v128.load(acc16, 16), s2 = v128.load(acc16, 32), s3 = v128.load(acc16, 48);
    let s4 = v128.load(acc16, 64), s5 = v128.load(acc16, 80), s6 = v128.load(acc16, 96), s7 = v128.load(acc16, 112);
    const end = index + 16;
    for (let table = tables; index < end; index++, table += TABLE_ENTRIES * 128) {
      const entry = table + <usize>load<u8>(index) * 128;
      s0 = i16x8.add(s0, v128.load(entry));
      s1 = i16x8.add(s1, v128.load(entry, 16));
      s2 = i16x8.add(s2, v128.load(entry, 32));
      s3 = i16x8.add(s3, v128.load(entry, 48));
      s4 = i16x8.add(s4, v128.load(entry, 64));
      s5 = i16x8.add(s5, v128.load(entry, 80));
      s6 = i16x8.add(s6, v128.load(entry, 96));
      s7 = i16x8.add(s7, v128.load(entry, 112));
    }
    v128.store(acc16, s0);
    v128.store(acc16, s1, 16);
    v128.store(acc16, s2, 32);
    v128.store(acc16, s3, 48);
    v128.store(acc16, s4, 64);
    v128.store(acc16, s5, 80);
    v128.store(acc16, s6, 96);
    v128.store(acc16, s7, 112);
  }
}

/** acc += acc16, acc16 = 0, for n sums. */
function widen(acc16: usize, acc: usize, n: i32): void {
  const end = acc16 + (<usize>n << 1);
  for (; acc16 < end; acc16 += 16, acc += 32) {
    const s = v128.load(acc16);
    v128.store(acc16, i16x8.splat(0));
    v128.store(acc, i32x4.add(v128.load(acc), i32x4.extend_low_i16x8_s(s)));
    v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.extend_high_i16x8_s(s)), 16);
  }
}

/**
 * acc[8 * groups][tile] int32 = the sums, for a tile of 32 or 64 tokens. w as in ternary.ts; x from tableTranspose; scratch:
 * 16 tables, (8 * groups, tile) int16, then (3, 8 * groups, 16) indices. Some 200 groups at a time keep the scratch in a
 * cache of 512 KB.
 */
export function tableDot(w: usize, x: usize, acc: usize, scratch: usize, columns: i32, groups: i32, tile: i32, mask: i32): void {
  const rows = groups << 3;
  const line = <usize>tile << 1;
  const acc16 = scratch + 16 * TABLE_ENTRIES * line;
  const index = acc16 + <usize>rows * line;
  memory.fill(acc, 0, <usize>rows * line << 1);
  memory.fill(acc16, 0, <usize>rows * line);
  for (let c = 0; c < columns; c += TABLE_RUN) {
    const blocks = min(TABLE_RUN, columns - c) / TABLE_BLOCK;
    allIndices(w + (<usize>c << 1), <usize>columns << 1, groups, blocks, index, mask);
    for (let b = 0; b < blocks; b++) {
      const first = x + <usize>(c + b * TABLE_BLOCK) * line;
      for (let j: usize = 0; j < 16; j++) buildTable(first + j * line, scratch + j * TABLE_ENTRIES * line, line);
      const blockIndex = index + <usize>b * (<usize>rows << 4);
      if (tile == TILE) addBlock64(blockIndex, rows, acc16, scratch);
      else addBlock32(blockIndex, rows, acc16, scratch);
    }
    widen(acc16, acc, rows * tile);
  }
}

/** Rows r .. r+3 of one token. */
@inline
function storeScaled(out: usize, addTo: usize, sums: v128, factor: f32): void {
  const y = f32x4.mul(f32x4.convert_i32x4_s(sums), f32x4.splat(factor));
  v128.store(out, y);
  if (addTo) v128.store(addTo, f32x4.add(v128.load(addTo), y));
}

/**
 * out[t][r] = acc[r][t] * factors[t] for `tokens` tokens of a tile and `rows` rows, out rows `stride` bytes apart; where
 * addTo is not 0, addTo[t][r] += out[t][r]. The same products and sums as ternaryScale.
 */
export function tableScale(acc: usize, out: usize, addTo: usize, stride: usize, rows: i32, tokens: i32, factors: usize, tile: i32): void {
  const line = <usize>tile << 2;
  let r = 0;
  for (; r + 4 <= rows; r += 4) {
    const from = acc + <usize>r * line;
    for (let t = 0; t < tokens; t += 4) {
      const p = from + (<usize>t << 2);
      const a = v128.load(p), b = v128.load(p + line), c = v128.load(p + 2 * line), d = v128.load(p + 3 * line);
      const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      const at = (<usize>r << 2) + <usize>t * stride;
      const f = factors + (<usize>t << 2);
      const left = tokens - t;
      storeScaled(out + at, addTo ? addTo + at : 0, v128.shuffle<i64>(ab0, cd0, 0, 2), load<f32>(f));
      if (left > 1) storeScaled(out + at + stride, addTo ? addTo + at + stride : 0, v128.shuffle<i64>(ab0, cd0, 1, 3), load<f32>(f, 4));
      if (left > 2) storeScaled(out + at + 2 * stride, addTo ? addTo + at + 2 * stride : 0, v128.shuffle<i64>(ab1, cd1, 0, 2), load<f32>(f, 8));
      if (left > 3) storeScaled(out + at + 3 * stride, addTo ? addTo + at + 3 * stride : 0, v128.shuffle<i64>(ab1, cd1, 1, 3), load<f32>(f, 12));
    }
  }
  for (; r < rows; r++) {
    for (let t = 0; t < tokens; t++) {
      const y = <f32>load<i32>(acc + <usize>r * line + (<usize>t << 2)) * load<f32>(factors + (<usize>t << 2));
      const at = (<usize>r << 2) + <usize>t * stride;
      store<f32>(out + at, y);
      if (addTo) store<f32>(addTo + at, load<f32>(addTo + at) + y);
    }
  }
}
