// One row (decode): norm, int8 rounding, and the ternary matrices that read it, in one dispatch.
//
// Plain loop:   normQuantize(x);  for each matrix and output: sum = sum over c of (code[output][c] - 1) * q[c]
//               out[output] = f32(sum) * (scale * scale of q);  then what `finish` does with the outputs
//
// What the fast form adds:
// 1. Every workgroup normalises the row for itself: that costs about 2 us on an H200, a norm of its own 4, of which 1.9 are the
//    start of its dispatch. The first workgroup leaves in memory what norm-quantize would.
// 2. Each thread asks for its part of the row (`taken` of another file), then for its first codes, which arrive while the row
//    is normalised.
// 3. The int8 row lies in workgroup memory by quarters of blocks, so that the 16 threads of a team, which take neighbouring
//    vectors of codes, take neighbouring vectors of activations too.
// 4. A team makes OUTPUTS sums; `outputOf` and `finish` of another file say which, and what becomes of them. What `finish`
//    needs from memory `prepare` asks for while the row is on its way.
// 5. Each team's thread begins with minus the sum of 16 threads' activations: together they subtract the row's sum.
// 6. Where blocks of 256 columns have scales (BLOCKS), codes are signed in place of that, and the exact sums of blocks meet in
//    workgroup memory, as in ternary/blocks.wgsl.
//
// Constants: COLUMNS; OUTPUTS; AHEAD, the vectors of codes of an output that a thread asks for early; BLOCKS, COLUMNS / 256 where
// blocks have scales, else 0.
// Preconditions: COLUMNS a multiple of 128; COLUMNS + 9 KiB of workgroup memory, and 64 bytes for each block and output of a team;
// nothing that a workgroup writes is the row that others may still read.

const TEAM = 16u; // threads that share an output
const TEAMS = 16u;
const QUADS = COLUMNS / 64u; // vec4<u32> of codes in a row
const END = COLUMNS / 4u; // vec4<f32> of the row
const HELD = (END + THREADS - 1u) / THREADS; // of them those of a thread

struct Params {
  outputs0: u32,
  outputs1: u32,
  outputs2: u32,
  base0: u32,
  base1: u32,
  base2: u32,
  scale0: f32,
  scale1: f32,
  scale2: f32,
  scalesAt0: u32, // words, where blocks have scales (shared/block-scales.wgsl)
  scalesAt1: u32,
  scalesAt2: u32,
  share: f32, // 1 / COLUMNS
  eps: f32,
  // for rotary embedding
  half: u32, // headDim / 2
  positionAt: u32, // where the position lies in `places`
  chunks: u32, // of attention, where the row is their sum
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> normed: array<vec4<f32>>; // (columns)
@group(0) @binding(4) var<storage, read_write> values: array<u32>;       // (columns) int8
@group(0) @binding(5) var<storage, read_write> scales: array<f32>;       // (1)
@group(0) @binding(6) var<storage, read_write> sums: array<i32>;         // (1)

var<workgroup> row: array<vec4<u32>, 4u * QUADS>;         // (4 quarters, QUADS)
var<workgroup> rowSums: array<vec4<i32>, 64>;             // (256) of each thread's activations
var<workgroup> teamSums: array<vec4<i32>, 64u * OUTPUTS>; // (OUTPUTS, TEAMS, TEAM)
var<workgroup> laneSums: array<i32, TEAM>;                // of 16 threads' activations each
var<workgroup> blockSums: array<atomic<i32>, max(1u, OUTPUTS * TEAMS * BLOCKS)>; // (OUTPUTS, TEAMS, BLOCKS)

/** A matrix, and one of its rows. */
struct Place {
  matrix: u32,
  output: u32,
}

fn dots(codes: vec4<u32>, quad: u32) -> i32 {
  var sum = 0;
  for (var quarter = 0u; quarter < 4u; quarter++) {
    var c = (codes >> vec4(6u - 2u * quarter)) & vec4(0x03030303u);
    if BLOCKS > 0u { c = signedCodes(c); }
    let a = row[quarter * QUADS + quad];
    sum += dot4I8Packed(c.x, a.x) + dot4I8Packed(c.y, a.y) + dot4I8Packed(c.z, a.z) + dot4I8Packed(c.w, a.w);
  }
  return sum;
}

fn total(v: vec4<i32>) -> i32 { return v.x + v.y + v.z + v.w; }

/** The sum of output `i` of a team, with the scales of its blocks; for `finish`. */
fn teamTotal(group: u32, team: u32, i: u32) -> f32 {
  if BLOCKS == 0u {
    let at = 4u * (i * TEAMS + team);
    return f32(total(teamSums[at] + teamSums[at + 1u] + teamSums[at + 2u] + teamSums[at + 3u]));
  }
  let place = outputOf(group, team, i);
  var y = 0.0;
  for (var block = 0u; block < BLOCKS; block++) {
    let sum = f32(atomicLoad(&blockSums[(i * TEAMS + team) * BLOCKS + block]));
    y = fma(sum, blockScale(place.matrix, place.output * BLOCKS + block), y);
  }
  return y;
}

/** A thread's sum with one more dot, of vector `quad` of an output of (OUTPUTS, TEAMS); blocks are summed elsewhere. */
fn withDot(sum: i32, output: u32, quad: u32, more: i32) -> i32 {
  if BLOCKS == 0u { return sum + more; }
  atomicAdd(&blockSums[output * BLOCKS + quad / BLOCK_QUADS], more); // integers: any order
  return sum;
}

@compute @workgroup_size(256)
fn ternaryRow(@builtin(workgroup_id) id: vec3<u32>, at: Thread) {
  let thread = at.index;
  let group = id.x;
  let lane = thread % TEAM;
  let team = thread / TEAM;

  var z: array<vec4<f32>, HELD>; // x, then x * weight, then normalised
  var weights: array<vec4<f32>, HELD>;
  for (var j = 0u; j < HELD; j++) { z[j] = taken(min(thread + THREADS * j, END - 1u)); }
  for (var j = 0u; j < HELD; j++) { weights[j] = weightAt(min(thread + THREADS * j, END - 1u)); }
  var places: array<Place, OUTPUTS>;
  var ahead: array<vec4<u32>, OUTPUTS * AHEAD>;
  for (var i = 0u; i < OUTPUTS; i++) {
    places[i] = outputOf(group, team, i);
    for (var step = 0u; step < AHEAD; step++) {
      let quad = min(lane + TEAM * step, QUADS - 1u);
      ahead[i * AHEAD + step] = codesAt(places[i].matrix, places[i].output * QUADS + quad);
    }
  }

  prepare(group, thread);

  var part = vec2(0.0);
  for (var j = 0u; j < HELD; j++) {
    let inside = thread + THREADS * j < END;
    let v = select(vec4(0.0), z[j], inside);
    if inside && group == 0u { keepTaken(thread + THREADS * j, v); }
    z[j] = v * weights[j];
    part = grown(part, v, z[j]);
  }
  let scale = rowScale(at, part, params.share, params.eps);
  let s = 127.0 / scale.absmax;
  var sum = 0;
  for (var j = 0u; j < HELD; j++) {
    let i = thread + THREADS * j;
    if i < END {
      let y = z[j] * scale.r;
      let q = rounded(y, s);
      sum += dot4I8Packed(q, 0x01010101u);
      row[i % 32u / 8u * QUADS + i / 32u * 2u + i % 8u / 4u][i % 4u] = q;
      if group == 0u {
        normed[i] = y;
        values[i] = q;
      }
    }
  }
  rowSums[thread / 4u][thread % 4u] = sum;
  workgroupBarrier();

  let laneSum = total(rowSums[4u * lane] + rowSums[4u * lane + 1u] + rowSums[4u * lane + 2u] + rowSums[4u * lane + 3u]);
  if thread < TEAM { laneSums[thread] = laneSum; }
  var acc: array<i32, OUTPUTS>;
  for (var i = 0u; i < OUTPUTS; i++) {
    acc[i] = -laneSum;
    for (var step = 0u; step < AHEAD; step++) {
      let quad = lane + TEAM * step;
      if quad < QUADS { acc[i] = withDot(acc[i], i * TEAMS + team, quad, dots(ahead[i * AHEAD + step], quad)); }
    }
  }
  for (var quad = lane + TEAM * AHEAD; quad < QUADS; quad += TEAM) {
    for (var i = 0u; i < OUTPUTS; i++) {
      let dot = dots(codesAt(places[i].matrix, places[i].output * QUADS + quad), quad);
      acc[i] = withDot(acc[i], i * TEAMS + team, quad, dot);
    }
  }
  for (var i = 0u; i < OUTPUTS; i++) {
    teamSums[64u * i + thread / 4u][thread % 4u] = acc[i];
  }
  workgroupBarrier();

  finish(group, thread, scale.absmax / 127.0);
  if group == 0u && thread == THREADS - 1u {
    var sum = 0;
    for (var i = 0u; i < TEAM; i++) { sum += laneSums[i]; }
    scales[0] = scale.absmax / 127.0;
    sums[0] = sum;
  }
}
