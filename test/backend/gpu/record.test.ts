/** The record that crosses to the device's thread: ops come back as they were recorded, and like records have one number. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeOps, NONE, type Op, Recorder, Records } from "../../../src/backend/gpu/record.js";

const OPS: readonly Op[] = [
  { op: "embed", out: 1, table: 2 },
  { op: "normQuantize", out: 3, x: 1, weight: 4, eps: 0.5 },
  {
    op: "ternary",
    x: 3,
    projections: [
      { weight: 5, out: 6, addTo: NONE },
      { weight: 7, out: 8, addTo: 1 },
    ],
  },
  { op: "ropeStore", cache: 9, layer: 29, q: 6, k: 7, v: 8 },
  { op: "attend", out: 10, q: 6, cache: 9, layer: 29 },
  { op: "gate", out: 11, gate: 11, up: 12, activation: "silu" },
  { op: "gate", out: 11, gate: 11, up: 12, activation: "relu2" },
  { op: "normOutputs", out: 13, x: 1, weight: 14, eps: 0.25 },
  { op: "logits", out: 15, table: 2, x: 13 },
  { op: "mark", tensor: 15, rows: "whole" },
  { op: "mark", tensor: 1, rows: "all" },
  { op: "best", head: 16, x: 13, count: 40, masked: true },
  { op: "best", head: 16, x: 13, count: 1, masked: false },
  { op: "sample", head: 16 },
];

function wordsOf(recorder: Recorder, ops: readonly Op[]): Int32Array {
  for (const op of ops) recorder.add(op);
  return recorder.take();
}

test("ops come back as they were recorded, from a short record and from one that had to grow", () => {
  const recorder = new Recorder();
  for (const count of [1, 100, 1]) {
    const ops = Array.from({ length: count }, () => OPS).flat();
    assert.deepEqual(decodeOps(wordsOf(recorder, ops)), ops);
  }
});

test("a record has the number of an equal one, and its words come once", () => {
  const [recorder, records] = [new Recorder(), new Records()];
  const first = records.numberOf(wordsOf(recorder, OPS));
  assert.deepEqual(decodeOps(first.fresh as Int32Array), OPS);
  const other = records.numberOf(wordsOf(recorder, OPS.slice(1)));
  assert.notEqual(other.number, first.number);
  assert.deepEqual(records.numberOf(wordsOf(recorder, OPS)), { number: first.number, fresh: undefined });
  // the recorder's words have been written over, the number's have not
  assert.deepEqual(decodeOps(first.fresh as Int32Array), OPS);
});
