/**
 * Damaged files, thousands of them: the parser must end in a TernionError or in a file that holds together, quickly and
 * without large allocations.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TernionError } from "../../src/errors.js";
import type { GgufHead } from "../../src/gguf/file.js";
import { parseGguf } from "../../src/gguf/parse.js";
import { ggmlByteLength } from "../../src/gguf/types.js";
import { file, kv, str, tensor, u32, u64 } from "./raw.js";

const small = file({
  keys: [
    kv("general.alignment", 4, u32(32)),
    kv("strings", 9, u32(8), u64(2), str("ab"), str("cd")),
    kv("numbers", 9, u32(5), u64(3), u32(1), u32(2), u32(3)),
    kv("flag", 7, Buffer.of(1)),
    kv("wide", 10, u64(2n ** 60n)),
  ],
  tensors: [tensor(), tensor({ name: "w", type: 36, dims: [128, 2], offset: 32 })],
  data: 128,
});
const tiny = readFileSync(new URL("../../../test/golden/tiny/model.gguf", import.meta.url));
const tinyHead = parseGguf(tiny).dataOffset;

/** Values that sit at the edges of what a count, length or offset may be. */
const edges = fc.constantFrom(
  0n,
  1n,
  31n,
  255n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
);

type Edit = (bytes: Buffer) => Buffer;

/** One kind of damage within the first `head` bytes. */
function damage(head: number): fc.Arbitrary<Edit> {
  const at = fc.nat(head - 9);
  return fc.oneof(
    fc.tuple(at, fc.nat(255)).map(
      ([i, byte]): Edit =>
        (bytes) =>
          edit(bytes, (copy) => copy.fill(byte, i, i + 1)),
    ),
    fc.tuple(at, edges).map(
      ([i, value]): Edit =>
        (bytes) =>
          edit(bytes, (copy) => copy.writeBigUInt64LE(value, i)),
    ),
    fc.tuple(at, fc.nat(3)).map(
      ([i, n]): Edit =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + n)]),
    ),
    fc.tuple(at, fc.uint8Array({ maxLength: 9 })).map(
      ([i, more]): Edit =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, i), more, bytes.subarray(i)]),
    ),
    at.map(
      (i): Edit =>
        (bytes) =>
          bytes.subarray(0, i),
    ),
  );
}

/** `change` made to a copy; positions that earlier damage cut off are left alone. */
function edit(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  try {
    change(copy);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return copy;
}

/** What `bytes` parses to, or undefined if it is refused; fails on any other end and on a large allocation. */
function parseSafely(bytes: Buffer): GgufHead | undefined {
  const before = allocated();
  try {
    const gguf = parseGguf(bytes);
    for (const value of gguf.metadata.values()) if (typeof value === "object") value.values; // makes the strings
    return gguf;
  } catch (error) {
    assert.ok(error instanceof TernionError, `expected a TernionError, got ${(error as Error).stack}`);
    assert.ok(error.message.length < 400);
    return undefined;
  } finally {
    const grown = allocated() - before;
    assert.ok(grown < 16 * bytes.length + 4e6, `${grown} bytes allocated for a file of ${bytes.length}`);
  }
}

function allocated(): number {
  const { heapUsed, external } = process.memoryUsage(); // external counts array buffers too
  return heapUsed + external;
}

function holdsTogether(bytes: Buffer): void {
  const gguf = parseSafely(bytes);
  if (!gguf) return;
  const tensors = [...gguf.tensors.values()].sort((a, b) => a.offset - b.offset);
  let end = gguf.dataOffset;
  for (const { offset, byteLength, type, dims } of tensors) {
    assert.ok(offset >= end && offset % gguf.alignment === 0);
    assert.equal(
      byteLength,
      ggmlByteLength(
        type,
        dims.reduce((a, b) => a * b),
      ),
    );
    end = offset + byteLength;
  }
  assert.ok(end <= bytes.length || tensors.length === 0);
}

describe("damaged files", () => {
  const runs: [string, Buffer, number, number][] = [
    ["a small file", small, small.length - 128, 10_000],
    ["the head of tiny", tiny, tinyHead, 1_000],
  ];
  for (const [name, bytes, head, numRuns] of runs) {
    it(`${name}, damaged ${numRuns} times`, () => {
      fc.assert(
        fc.property(fc.array(damage(head), { minLength: 1, maxLength: 3 }), (edits) => {
          holdsTogether(edits.reduce((damaged, apply) => apply(damaged), bytes));
        }),
        { numRuns, interruptAfterTimeLimit: 30_000, markInterruptAsFailure: true },
      );
    });
  }

  it("a small file cut at every byte, and with every byte set to 255", () => {
    for (let i = 0; i < small.length; i++) {
      holdsTogether(small.subarray(0, i));
      holdsTogether(edit(small, (copy) => copy.fill(255, i, i + 1)));
    }
  });

  it("random bytes after a right start", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (rest) => {
        holdsTogether(Buffer.concat([small.subarray(0, 8), u64(1), u64(1), rest]));
      }),
      { numRuns: 2_000 },
    );
  });
});
