// Chooses one id of a row's best, as the sampler of the host does.
//
// Plain loop:   rank the k ids by logit, of equal ones the lower id first;  w[i] = exp(logit[i] - logit[0])
//               keep topK; of them the fewest that hold topP of the sum of w; of them those of w >= minP, at least one
//               h[i] = exp((logit[i] - logit[0]) / temperature);  the first i where h[0] + .. + h[i] > random * sum of h
//
// What the fast form adds: a thread an id finds its rank and its exponentials; one thread walks the k that are left. The id
// stays on the device too, where the next run's `embed` finds it.
// Preconditions: k at most 256; `best` holds ids in ascending order, and NONE with NO_LOGIT where a mask left fewer than k,
// but at least one id (best/entries.wgsl); of the draws of one slot all but the last are passing.

const LEAST = -3.4e38;
const MOST = 3.4028234e38; // beyond what is sound: in the place of NaN, which `best` ranks first
const NO_LOGIT = 0x7f800001u;
const NO_DISTRIBUTION = -2;
const NOT_DRAWN = -1;

struct Params {
  k: u32, // at most 256
}

struct Draw {
  temperature: f32,
  topK: u32, // 0: all
  topP: f32,
  minP: f32,
  random: f32,
  mask: u32, // see best/masked.wgsl
  absent: u32, // 1: the host chooses
  passing: u32, // 1: a later row's id is kept for the slot
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> best: array<u32>; // (ranked rows, k ids and k logits)
@group(0) @binding(2) var<storage, read> draws: array<Draw>; // (ranked rows)
@group(0) @binding(3) var<storage, read> slots: array<i32>; // (rows)
@group(0) @binding(4) var<storage, read> outputs: array<i32>; // (outputs) the ranked rows first
@group(0) @binding(5) var<storage, read_write> sampled: array<i32>; // (slots)
@group(0) @binding(6) var<storage, read_write> ids: array<i32>; // (ranked rows)

var<workgroup> logits: array<f32, 256>;
var<workgroup> ranked: array<f32, 256>;
var<workgroup> rankedIds: array<i32, 256>;
var<workgroup> weights: array<f32, 256>; // e^(logit - best)
var<workgroup> heated: array<f32, 256>; // the same over the temperature

@compute @workgroup_size(256)
fn sample(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let j = group.x;
  let k = params.k;
  let draw = draws[j];
  if thread < k {
    let bits = best[j * 2u * k + k + thread];
    let sound = select(bitcast<f32>(bits), MOST, (bits & 0x7fffffffu) > 0x7f800000u);
    logits[thread] = select(sound, -MOST, bits == NO_LOGIT); // weighs nothing
  }
  workgroupBarrier();
  if thread < k {
    let own = logits[thread];
    var rank = 0u;
    for (var i = 0u; i < k; i++) {
      rank += u32(logits[i] > own || (logits[i] == own && i < thread));
    }
    ranked[rank] = own;
    rankedIds[rank] = i32(best[j * 2u * k + thread]);
  }
  workgroupBarrier();
  if thread < k {
    let below = ranked[thread] - ranked[0];
    weights[thread] = exp(below);
    heated[thread] = select(exp(below / draw.temperature), 0.0, draw.temperature == 0.0);
  }
  workgroupBarrier();
  if thread != 0u {
    return;
  }
  if draw.absent == 1u {
    ids[j] = NOT_DRAWN;
    return;
  }
  var count = select(min(draw.topK, k), k, draw.topK == 0u);
  if draw.topP < 1.0 {
    var total = 0.0;
    for (var i = 0u; i < count; i++) {
      total += weights[i];
    }
    var held = 0.0;
    var kept = 0u;
    while kept < count && (kept == 0u || held < draw.topP * total) {
      held += weights[kept];
      kept++;
    }
    count = kept;
  }
  while count > 1u && weights[count - 1u] < draw.minP {
    count--;
  }
  var chosen = 0u;
  if draw.temperature > 0.0 {
    var total = 0.0;
    for (var i = 0u; i < count; i++) {
      total += heated[i];
    }
    var sum = 0.0;
    for (var i = 0u; i < count; i++) {
      if heated[i] > 0.0 {
        sum += heated[i];
        chosen = i;
        if sum > draw.random * total {
          break;
        }
      }
    }
  }
  // NaN among the best, or an infinite one: the row is no distribution, which the host learns from an id that is none. Rows
  // that are called already get a token, so that they stay within the table.
  let sound = ranked[0] > LEAST && ranked[0] <= -LEAST;
  ids[j] = select(NO_DISTRIBUTION, rankedIds[chosen], sound);
  if draw.passing == 0u { sampled[slots[outputs[j]]] = select(0, rankedIds[chosen], sound); }
}
