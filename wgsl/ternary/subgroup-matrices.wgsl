enable subgroups;
enable chromium_experimental_subgroup_matrix;

// Ternary matrices times int8 rows, many of them (prefill), by subgroup matrices. The first of its kernel's files, since
// `enable` comes first.
//
// Plain loop:   sum = sum over c of (code[output][c] - 1) * x[row][c];  out[row][output] = f32(sum) * (scale * scale of x[row])
//
// What the fast form adds:
// 1. A workgroup of 8 subgroups makes 64 rows x 64 outputs, a subgroup 32 x 16 of them, a block of 128 columns at a time, by
//    products of 16 x 32 and 32 x 16 int8 matrices: 65 to 115 TMAC/s on an H200, 2.3 to 3.9 times tile.wgsl.
// 2. While a block is multiplied, each thread holds its part of the next one in registers.
// 3. Both operands lie in workgroup memory as int8, rows 36 words apart: 32 would put all rows into the same banks.
// 4. The sums go through the same memory to the threads that scale and store them.
//
// Preconditions: columns a multiple of 128; subgroups of 32; an adapter that multiplies int8 matrices of this size, and has
// shown on opening that its products are right (device/subgroup-matrices.ts).

const M = 16u; // rows of x
const N = 16u; // outputs
const K = 32u; // columns

alias Left = subgroup_matrix_left<i8, K, M>;
alias Right = subgroup_matrix_right<i8, N, K>;
alias Sums = subgroup_matrix_result<i32, N, M>;

const TILE = 64u;
const STRIDE = 36u; // words from row to row of an operand
const CODES = TILE * STRIDE; // where the outputs' rows begin

@group(0) @binding(1) var<storage, read> values: array<vec4<i32>>; // (rows, columns / 16) int8

var<workgroup> tile: array<i32, 2u * TILE * STRIDE>;

/** 16 of the 128 columns of a row of x; `i` of 512 */
fn valuesOf(block: u32, firstRow: u32, i: u32) -> vec4<i32> {
  let row = min(firstRow + i / 8u, params.rows - 1u);
  return values[row * 4u * params.quads + 8u * block + i % 8u];
}

fn keepFour(at: u32, v: vec4<i32>) {
  tile[at] = v.x;
  tile[at + 1u] = v.y;
  tile[at + 2u] = v.z;
  tile[at + 3u] = v.w;
}

@compute @workgroup_size(256)
fn ternarySubgroupMatrices(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32,
                           @builtin(subgroup_id) subgroup: u32) {
  let share = shareOf(group.x, TILE);
  let firstRow = group.y * TILE;
  let ownOutput = min(share.first + thread % 128u / 2u, share.outputs - 1u);
  let ownCodes = ownOutput * params.quads + thread % 2u;

  var x0 = valuesOf(0u, firstRow, thread);
  var x1 = valuesOf(0u, firstRow, thread + 256u);
  var codes = codesAt(share.matrix, ownCodes);
  let rows = subgroup / 4u * 2u * M * STRIDE;
  let outputs = CODES + subgroup % 4u * N * STRIDE;
  var sums0 = Sums();
  var sums1 = Sums();
  let blocks = params.quads / 2u;
  for (var block = 0u; block < blocks; block++) {
    workgroupBarrier();
    keepFour(thread / 8u * STRIDE + thread % 8u * 4u, x0);
    keepFour((thread / 8u + 32u) * STRIDE + thread % 8u * 4u, x1);
    if thread < 128u {
      for (var quarter = 0u; quarter < 4u; quarter++) {
        let c = (codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u);
        keepFour(CODES + thread / 2u * STRIDE + 8u * quarter + thread % 2u * 4u, bitcast<vec4<i32>>(c));
      }
    }
    workgroupBarrier();
    let next = min(block + 1u, blocks - 1u);
    x0 = valuesOf(next, firstRow, thread);
    x1 = valuesOf(next, firstRow, thread + 256u);
    codes = codesAt(share.matrix, ownCodes + 2u * next);
    for (var k = 0u; k < 128u; k += K) {
      let right = subgroupMatrixLoad<Right, col_major>(&tile, outputs + k / 4u, STRIDE);
      let left0 = subgroupMatrixLoad<Left, row_major>(&tile, rows + k / 4u, STRIDE);
      let left1 = subgroupMatrixLoad<Left, row_major>(&tile, rows + M * STRIDE + k / 4u, STRIDE);
      sums0 = subgroupMatrixMultiplyAccumulate(left0, right, sums0);
      sums1 = subgroupMatrixMultiplyAccumulate(left1, right, sums1);
    }
  }
  workgroupBarrier();
  let to = subgroup / 4u * 2u * M * TILE + subgroup % 4u * N;
  subgroupMatrixStore<row_major>(&tile, to, sums0, TILE);
  subgroupMatrixStore<row_major>(&tile, to + M * TILE, sums1, TILE);
  workgroupBarrier();
  for (var i = thread; i < TILE * TILE; i += 256u) {
    let row = firstRow + i / TILE;
    let output = share.first + i % TILE;
    if row < params.rows && output < share.outputs { store(share, output, row, tile[i]); }
  }
}
