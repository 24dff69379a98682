// The gate of the feed-forward block, element by element.
//
// Plain loop:   out[i] = activation(gate[i]) * up[i]
//
// Kept in float32: relu(g)^2 * up overflows f16. out may be gate. Preconditions: n a multiple of 4.

import { expNegative } from "./reduce";

/** activation(g) = max(g, 0)^2 */
export function gateRelu2(gate: usize, up: usize, out: usize, n: i32): void {
  const end = gate + (<usize>n << 2);
  for (; gate < end; gate += 16, up += 16, out += 16) {
    const g = f32x4.max(v128.load(gate), f32x4.splat(0));
    v128.store(out, f32x4.mul(f32x4.mul(g, g), v128.load(up)));
  }
}

/** activation(g) = g / (1 + exp(-g)), from exp(-|g|) so that nothing overflows. */
export function gateSilu(gate: usize, up: usize, out: usize, n: i32): void {
  const end = gate + (<usize>n << 2);
  const one = f32x4.splat(1);
  for (; gate < end; gate += 16, up += 16, out += 16) {
    const g = v128.load(gate);
    const e = expNegative(f32x4.neg(f32x4.abs(g)));
    // sigmoid(g) = 1 / (1 + e) for g >= 0, e / (1 + e) for g < 0
    const top = v128.bitselect(one, e, f32x4.ge(g, f32x4.splat(0)));
    v128.store(out, f32x4.mul(f32x4.mul(g, f32x4.div(top, f32x4.add(one, e))), v128.load(up)));
  }
}
