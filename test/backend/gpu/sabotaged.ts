/**
 * Shaders with one broken line: each must fail a check (checks.ts), or the check would not see what it is there for. Takes the
 * compiler of the adapter's driver a while, so it is not part of `npm test`: npm run test:shaders
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Device } from "../../../src/backend/gpu/device/device.js";
import { webgpu } from "../../../src/platform/webgpu.js";
import { CHECKS } from "./checks.js";
import { Harness } from "./harness.js";
import { NO_ADAPTER } from "./require.js";

/** A line of a shader and what it becomes, by the check that must fail. */
type Broken = readonly [file: string, line: string, instead: string];

const SABOTAGES: Readonly<Record<string, readonly Broken[]>> = {
  quantize: [
    ["quantize/quantize", "part = grown(part, vec4(0.0), x[i]);", "part = grown(part, x[i], vec4(0.0));"],
    ["quantize/quantize", "if bitcast<u32>(largest) < INFINITY {", "if true {"],
    ["quantize/quantize", "max(largest, 1e-5)", "largest"],
    ["quantize/quantize", "normed[i] = x[i];", ""],
    ["quantize/quantize", "let s = 127.0 / absmax;", "let s = 126.9 / absmax;"],
    ["quantize/quantize", "sums[row] = atomicLoad(&total);", "sums[row] = sum;"],
    ["quantize/quantize", "scales[row] = absmax / 127.0;", "scales[row] = absmax;"],
    ["quantize/quantize", "let begin = row * params.quads + at.index;", "let begin = at.index;"],
  ],
  "norm heads": [
    ["norm-heads/norm-heads", "i += LANES) {\n    let v", "i += 2u * LANES) {\n    let v"],
    ["norm-heads/norm-heads", "if bits < INFINITY {", "if true {"],
    ["norm-heads/norm-heads", "fma(square, params.share, params.eps)", "square * params.share"],
    ["norm-heads/norm-heads", "fma(square, params.share, params.eps)", "fma(square, 0.1, params.eps)"],
    ["norm-heads/norm-heads", "* weightAt(i) * r", "* weightAt(0u) * r"],
    ["norm-heads/norm-heads", "sums[thread / LANES * LANES + i]", "sums[i]"],
  ],
  "rope store": [
    ["shared/rotate", "select(i, 2u * i, ADJACENT == 1u)", "i"],
    ["shared/rotate", "select(half, 1u, ADJACENT == 1u)", "half"],
    ["rope-store/rope-store", "keys[to + step] = pair.y;", ""],
    ["rope-store/rope-store", "values[to + step] = v[start + step];", ""],
    ["rope-store/rope-store", "q[start + step] = pair.y;", ""],
    ["rope-store/rope-store", "position) + pairAt(i);", "position) + i;"],
  ],
  "a row in one dispatch": [
    ["ternary-row/rope", "* params.half + pairAt(pair % params.half)", "* params.half + pair % params.half"],
    ["ternary-row/rope", "keys[to + step] = pair.y;", ""],
    [
      "ternary-row/rope",
      "tables.angles[position * params.half + pair % params.half]",
      "tables.angles[pair % params.half]",
    ],
    ["ternary-row/ternary-row", "if BLOCKS > 0u { c = signedCodes(c); }", ""],
    ["ternary-row/ternary-row", "quad / BLOCK_QUADS], more)", "0u], more)"],
    ["ternary-row/ternary-row", "place.output * BLOCKS + block", "block"],
    ["ternary-row/ternary-row", "(i * TEAMS + team) * BLOCKS + block]", "team * BLOCKS + block]"],
  ],
  "ternary with scales of blocks": [
    ["shared/block-scales", "^ vec4(0x80808080u)", ""],
    ["shared/block-scales", "bitcast<f32>(codes[at / 4u][at % 4u])", "bitcast<f32>(codes[at / 4u].x)"],
    ["shared/block-scales", "params.scalesAt2, matrix == 2u", "params.scalesAt1, matrix == 2u"],
    ["ternary/blocks", "i / BLOCK_QUADS], sum)", "0u], sum)"],
    ["ternary/blocks", "min(first + b, last)", "first"],
    ["ternary/blocks", "(share.first + team) * BLOCKS + block", "team * BLOCKS + block"],
    ["ternary/blocks-tile", "acc[r] = vec4(0);", ""],
    ["ternary/blocks-tile", "scalesOf(share, output, step / 2u)", "scalesOf(share, output, 0u)"],
    ["ternary/blocks-tile", "min(output + k, share.outputs - 1u) * BLOCKS", "min(output, share.outputs - 1u) * BLOCKS"],
    ["ternary/operands", "sum * (share.scale * scales[row])", "sum * scales[row]"],
  ],
  "dense F32": [["shared/units", "table[at + 1u]", "table[at]"]],
  "dense F16": [
    ["shared/units", "unpackPair(unit.words.y)", "unpackPair(unit.words.x)"],
    ["shared/dense-dots", "min(xs.first + j, xs.last)", "xs.first"],
    ["shared/dense-dots", "first += LANES * STEPS) {", "first += 2u * LANES * STEPS) {"],
    ["shared/dense-dots", "if u >= units { break; }", ""],
    ["shared/dense-dots", "quadOf(w[s][r], k)", "quadOf(w[0][r], k)"],
    ["shared/dense-dots", "fma(q[r].w, a.w, ", "("],
    ["linear/linear", "resultOf(thread) * share.scale", "resultOf(thread)"],
    ["linear/linear", "+ params.before + output", "+ output"],
    ["linear/linear", "(share.outputs + params.rest)", "share.outputs"],
    ["linear/linear", "Stored(params.base1, params.scalesAt1)", "Stored(params.base0, params.scalesAt1)"],
    ["linear/linear", "Stored(params.base2, params.scalesAt2)", "Stored(params.base1, params.scalesAt2)"],
    ["embed/embed", "local * params.quads", "u32(token) * params.quads"],
  ],
  "dense Q8_0": [
    ["shared/units", "i / UNITS_OF_GROUP", "i"],
    ["shared/units", ">> (16u * (i % 2u))", ""],
    ["shared/units", "select(small, normal, size >= 0x400u)", "select(0.0, normal, size >= 0x400u)"],
    ["shared/units", "select(value, -value, bits >= 0x8000u)", "value"],
    ["shared/units", "(112u << 23u)", "(111u << 23u)"],
    ["shared/units", "unpack4xI8(unit.words[k])", "unpack4xI8(unit.words.x)"],
    ["linear/linear", "params.scalesAt1)", "params.scalesAt0)"],
    ["logits/logits", "Stored(0u, params.scalesAt)", "Stored(0u, 0u)"],
    ["embed/embed", "Stored(0u, params.scalesAt)", "Stored(0u, 0u)"],
    ["embed/embed", "i / UNIT), i % UNIT", "i / UNIT), 0u"],
  ],
  "dense Q6_K": [
    ["shared/units", "vec2(bitcast<f32>(wordAt(first + i)), 0.0)", "vec2(bitcast<f32>(wordAt(first)), 0.0)"],
  ],
  "dense Q4_K": [["shared/units", "vec4(-unit.scale.y)", "vec4(0.0)"]],
  "dense Q2_0": [
    ["shared/units", "(vec4<f32>(codes) - 1.0)", "vec4<f32>(codes)"],
    ["shared/units", "unit.words[k / 4u]", "unit.words[0]"],
    ["shared/units", "vec4(0u, 2u, 4u, 6u)", "vec4(6u, 4u, 2u, 0u)"],
  ],
};

/** Whether a check fails on shaders of which one is broken; the line must be there, and what stands for it compile. */
async function isSeen(name: string, [file, line, instead]: Broken): Promise<boolean> {
  const shader = async (path: string) => {
    const text = await webgpu.shader(path);
    if (path !== `${file}.wgsl`) return text;
    assert.ok(text.includes(line), `${path}: expected the line ${line}`);
    return text.replace(line, () => instead);
  };
  const device = await Device.open({}, { ...webgpu, shader });
  try {
    await CHECKS[name](new Harness(device));
    return false;
  } catch (error) {
    assert.ok(error instanceof assert.AssertionError && !error.message.includes("expected the line"), String(error));
    return true;
  } finally {
    device.close();
  }
}

for (const [name, all] of Object.entries(SABOTAGES)) {
  for (const broken of all) {
    const [file, line, instead] = broken;
    test(`${name} fails where ${file} has "${instead}" for "${line}"`, { skip: NO_ADAPTER }, async () => {
      assert.ok(await isSeen(name, broken), "no check fails");
    });
  }
}
