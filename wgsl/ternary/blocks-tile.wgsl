// Ternary matrices with a scale for each block of 256 columns times int8 rows, many of them (prefill).
//
// Plain loop:   that of blocks.wgsl
//
// What the fast form adds: it is tile.wgsl with signed codes; after every second step a block is whole, and its exact sums are
// added to the results in the order of shared/block-scales.wgsl.
//
// Constants: BLOCKS, columns / 256. Preconditions: columns a multiple of 256.

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

fn scalesOf(share: Share, output: u32, block: u32) -> vec4<f32> {
  var scales = vec4(0.0);
  for (var k = 0u; k < 4u; k++) {
    scales[k] = blockScale(share.matrix, min(output + k, share.outputs - 1u) * BLOCKS + block);
  }
  return scales;
}

@compute @workgroup_size(256)
fn ternaryBlocksTile(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let share = shareOf(group.x, TILE);
  let firstRow = group.y * TILE;
  let output = share.first + thread % 16u * 4u; // the first of four
  let fourRows = thread / 16u;

  var acc: array<vec4<i32>, 4>; // of the block, for each row four outputs
  var y: array<vec4<f32>, 4>;
  for (var step = 0u; step < 2u * BLOCKS; step++) {
    workgroupBarrier();
    for (var i = thread; i < 512u; i += 256u) {
      let word = 32u * step + i % 32u;
      let row = firstRow + 4u * (i / 32u);
      xTile[i % 32u * 16u + i / 32u] =
        vec4(xWord(row, word), xWord(row + 1u, word), xWord(row + 2u, word), xWord(row + 3u, word));
    }
    if thread < 128u {
      let word = 8u * step + thread % 8u;
      let first = share.first + 4u * (thread / 8u);
      codeTile[thread % 8u * 16u + thread / 8u] = vec4(
        codeWord(share, first, word), codeWord(share, first + 1u, word),
        codeWord(share, first + 2u, word), codeWord(share, first + 3u, word));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u; word++) {
      let codes = codeTile[word * 16u + thread % 16u];
      for (var quarter = 0u; quarter < 4u; quarter++) {
        let c = signedCodes((codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u));
        let x = xTile[(8u * quarter + word) * 16u + fourRows];
        for (var r = 0u; r < 4u; r++) { acc[r] += dots(c, x[r]); }
      }
    }
    if step % 2u == 1u {
      let scales = scalesOf(share, output, step / 2u);
      for (var r = 0u; r < 4u; r++) {
        y[r] = fma(vec4<f32>(acc[r]), scales, y[r]);
        acc[r] = vec4(0);
      }
    }
  }

  for (var r = 0u; r < 4u; r++) {
    let row = firstRow + 4u * fourRows + r;
    for (var k = 0u; k < 4u; k++) {
      if row < params.rows && output + k < share.outputs { storeScaled(share, output + k, row, y[r][k]); }
    }
  }
}
