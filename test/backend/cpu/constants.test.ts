/** A binary that was built from other sources than the TypeScript side is refused before it computes anything. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { instantiate } from "../../../src/backend/cpu/kernels.js";
import { sharedMemory } from "../../../src/backend/cpu/memory.js";
import { TernionError } from "../../../src/errors.js";
import { packageFile } from "../../../src/platform/package.js";

const binary = () => readFileSync(packageFile("dist/asm/kernels.baseline.wasm"));
const load = (bytes: Uint8Array) => instantiate(new WebAssembly.Module(bytes as BufferSource), sharedMemory(1, 65_536));

/** `bytes` with the one place of `before` changed. */
function patched(bytes: Buffer, before: Buffer, after: Buffer): Buffer {
  const at = bytes.indexOf(before);
  assert.ok(at > 0 && bytes.indexOf(before, at + 1) < 0, "expected one place to change");
  return Buffer.concat([bytes.subarray(0, at), after, bytes.subarray(at + before.length)]);
}

const refused = (message: RegExp) => (error: unknown) =>
  error instanceof TernionError && error.code === "BACKEND_FAILED" && message.test(error.message);

test("the binary as it is passes", () => {
  assert.equal(typeof load(binary()).ternaryDotBaseline, "function");
});

test("a constant of another value is named with both values", () => {
  const chunk = (low: number, high: number) => Buffer.from([0x7f, 0, 0x41, low, high, 0x0b]); // i32, immutable, i32.const
  const other = patched(binary(), chunk(0x80, 0x01), chunk(0x80, 0x02)); // LEB128 of 128 and 256
  assert.throws(() => load(other), refused(/expected CHUNK 128, got 256 .*another build.*npm run build/));
});

test("a binary that does not export a constant is of another build", () => {
  const other = patched(binary(), Buffer.from("\x0aHEAD_GROUP"), Buffer.from("\x0aHEAD_GR0UP"));
  assert.throws(() => load(other), refused(/expected HEAD_GROUP 4, got none/));
});
