// Ternary matrices times int8 rows, many of them (prefill).
//
// Plain loop:   sum = sum over c of (code[output][c] - 1) * x[row][c];  out[row][output] = f32(sum) * (scale * scale of x[row])
//
// What the fast form adds to ternary.wgsl:
// 1. A workgroup makes 64 rows x 64 outputs, a thread 4 x 4 of them, a block of 128 columns at a time: 23 to 33 TMAC/s on an
//    H200, where 16 rows four at a time reach 7.
// 2. Both operands lie in workgroup memory with four rows, or four outputs, side by side in a vector.
//
// Preconditions: columns a multiple of 128.

const TILE = 64u;

@group(0) @binding(1) var<storage, read> values: array<u32>; // (rows, columns) int8

var<workgroup> xTile: array<vec4<u32>, 512>;    // (32 words, 16) four rows each
var<workgroup> codeTile: array<vec4<u32>, 128>; // (8 words, 16) four outputs each

fn xWord(row: u32, word: u32) -> u32 {
  return values[min(row, params.rows - 1u) * 16u * params.quads + word];
}

fn codeWord(share: Share, output: u32, word: u32) -> u32 {
  let codes = codesAt(share.matrix, min(output, share.outputs - 1u) * params.quads + word / 4u);
  return codes[word % 4u];
}

/** c[k] . x, for four outputs k */
fn dots(c: vec4<u32>, x: u32) -> vec4<i32> {
  return vec4(dot4I8Packed(c.x, x), dot4I8Packed(c.y, x), dot4I8Packed(c.z, x), dot4I8Packed(c.w, x));
}

@compute @workgroup_size(256)
fn ternaryTile(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, TILE);
  let firstRow = group.y * TILE;
  let four = thread % 16u;   // outputs
  let fourRows = thread / 16u;

  var acc0 = vec4<i32>();
  var acc1 = vec4<i32>();
  var acc2 = vec4<i32>();
  var acc3 = vec4<i32>();
  for (var block = 0u; block < params.quads / 2u; block++) {
    workgroupBarrier();
    for (var i = thread; i < 512u; i += 256u) {
      let word = 32u * block + i % 32u;
      let row = firstRow + 4u * (i / 32u);
      xTile[i % 32u * 16u + i / 32u] =
        vec4(xWord(row, word), xWord(row + 1u, word), xWord(row + 2u, word), xWord(row + 3u, word));
    }
    if (thread < 128u) {
      let word = 8u * block + thread % 8u;
      let output = share.first + 4u * (thread / 8u);
      codeTile[thread % 8u * 16u + thread / 8u] = vec4(
        codeWord(share, output, word), codeWord(share, output + 1u, word),
        codeWord(share, output + 2u, word), codeWord(share, output + 3u, word));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u; word++) {
      let codes = codeTile[word * 16u + four];
      for (var quarter = 0u; quarter < 4u; quarter++) {
        let c = (codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u);
        let x = xTile[(8u * quarter + word) * 16u + fourRows];
        acc0 += dots(c, x.x);
        acc1 += dots(c, x.y);
        acc2 += dots(c, x.z);
        acc3 += dots(c, x.w);
      }
    }
  }

  let row = firstRow + 4u * fourRows;
  for (var k = 0u; k < 4u; k++) {
    let output = share.first + 4u * four + k;
    if (output >= share.outputs) { break; }
    if (row < params.rows) { store(share, output, row, acc0[k]); }
    if (row + 1u < params.rows) { store(share, output, row + 1u, acc1[k]); }
    if (row + 2u < params.rows) { store(share, output, row + 2u, acc2[k]); }
    if (row + 3u < params.rows) { store(share, output, row + 3u, acc3[k]); }
  }
}
