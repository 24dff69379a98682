/**
 * Floats of a file that are not finite: what counts as one, for every bit pattern, and that each backend refuses a weight
 * with one wherever it stands, with the same words.
 */
import assert from "node:assert/strict";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Backend, WeightSource } from "../../src/backend/backend.js";
import { chooseKernels } from "../../src/backend/cpu/choice/choose.js";
import { instantiate } from "../../src/backend/cpu/kernels.js";
import { PIECE, piecesOf } from "../../src/backend/cpu/pieces.js";
import { firstNonFinite } from "../../src/formats/finite.js";
import { rowBytes } from "../../src/formats/format.js";
import { denseFormatOf } from "../../src/formats/table.js";
import { type FileBytes, openFile } from "../../src/platform/file-bytes.js";
import { type DenseType, denseMatrix } from "../backend/files.js";
import { CPU_VARIANTS, GPU_VARIANTS, REFERENCE } from "../backends.js";

const TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K"] as const;

describe("what is not finite", () => {
  for (const type of TYPES) {
    const format = denseFormatOf(type);
    const { bytes: size, block: values } = format;
    const float = format.floats[0];
    const { at, exponent } = float;

    test(`${type}: every word with a sign and an exponent, by the values that it decodes to`, () => {
      const block = denseMatrix({ name: "block", rows: 1, columns: values }, type).bytes.slice(0, size);
      if (type === "Q6_K") block.fill(1, 192, 208); // no sub-scale of 0, which would make NaN of an infinite scale
      const view = new DataView(block.buffer);
      for (let word = 0; word < 65_536; word++) {
        view.setUint16(at, word, true);
        const finite = format.decode(block, values).every((value) => Number.isFinite(value));
        assert.equal(firstNonFinite({ ...format, float }, block), finite ? -1 : 0, `0x${word.toString(16)}`);
      }
    });

    for (const form of ["ternaryDot32", "ternaryDotBaseline"] as const) {
      test(`${type}: the kernel finds the first, wherever it stands, ${form}`, async () => {
        const memory = new WebAssembly.Memory({ initial: 64, maximum: 65_536, shared: true });
        const { firstNonFinite: kernel } = instantiate((await chooseKernels({ form })).module, memory);
        const count = size > 4 ? 70 : 1100; // more than two runs of the kernel
        for (const start of [64, 66]) {
          const all = new Uint8Array(memory.buffer, start, count * size).fill(0x3b);
          const view = new DataView(memory.buffer, start);
          const place = (index: number, word: number) => view.setUint16(index * size + at, word, true);
          const found = (n: number) => kernel(start + at, n, size, exponent);
          assert.equal(found(count), -1);
          for (let i = 0; i < count; i++) {
            place(i, i % 2 === 0 ? exponent : 0x8000 | exponent | 1);
            assert.equal(found(count), i);
            assert.equal(found(i), -1, "what lies after the last is not looked at");
            place(count - 1, exponent);
            assert.equal(found(count), i, "the first of two");
            all.fill(0x3b, i * size, (i + 1) * size);
            all.fill(0x3b, (count - 1) * size);
          }
        }
      });
    }
  }
});

/** Weights of a little more than two pieces of the loader: rows of 256. */
const COLUMNS = 256;
const rowsOf = (type: DenseType) => Math.ceil((2.1 * PIECE) / rowBytes(denseFormatOf(type), COLUMNS));

describe("a weight that is not finite is refused, by every backend with the same words", () => {
  let folder = "";
  const sources = new Map<DenseType, WeightSource>();
  const files: FileBytes[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-"));
    for (const type of TYPES) {
      const rows = rowsOf(type);
      const path = join(folder, type);
      const { bytes } = denseMatrix({ name: type, rows, columns: COLUMNS }, type);
      await writeFile(path, bytes);
      const byteLength = bytes.length;
      const file = await openFile(path);
      files.push(file);
      sources.set(type, {
        name: `${type}.weight`,
        type,
        rows,
        columns: COLUMNS,
        bytes: file,
        offset: 0,
        byteLength,
      });
    }
  });
  after(async () => {
    await Promise.all(files.map((file) => file.close()));
    await rm(folder, { recursive: true });
  });

  const some = [REFERENCE, CPU_VARIANTS[1]];
  const others = [CPU_VARIANTS[0], CPU_VARIANTS[3], ...GPU_VARIANTS.slice(0, 1)];
  for (const type of TYPES) {
    for (const variant of type === "F16" || type === "Q8_0" ? [...some, ...others] : some) {
      test(`${type}, ${variant.name}`, { skip: variant.skip }, async () => {
        const source = sources.get(type) as WeightSource;
        const { bytes: size, floats } = denseFormatOf(type);
        const { at, exponent } = floats[0];
        const border = Math.floor(PIECE / size); // where pieces of the CPU backend meet
        const everywhere = [
          { block: 0, word: exponent },
          { block: 17, word: 0x8000 | exponent },
          { block: border - 1, word: exponent | 1 },
          { block: source.byteLength / size - 1, word: 0xffff },
        ];
        for (const { block, word } of [
          { block: border, word: exponent },
          ...(some.includes(variant) ? everywhere : []),
        ]) {
          const restore = await overwrite(source.bytes.name, block * size + at, word);
          assert.equal(await refusal(await variant.create(4), source), expected(type, block, word));
          await restore();
        }
      });
    }
  }

  test("the sound files load", async () => {
    for (const variant of some) {
      const backend = await variant.create(4);
      await backend.load([...sources.values()]);
      await backend.close();
    }
  });

  test("pieces hold whole blocks, and all of the weight once", () => {
    for (const source of sources.values()) {
      const { bytes } = denseFormatOf(source.type);
      let end = source.offset;
      for (const { offset, byteLength, address } of piecesOf(source, 0, 64)) {
        assert.equal(byteLength % bytes, 0);
        assert.ok(byteLength <= PIECE);
        assert.equal(offset, end);
        assert.equal(address, 64 + offset - source.offset);
        end += byteLength;
      }
      assert.equal(end, source.offset + source.byteLength);
    }
  });
});

/** Writes a 16-bit word over the file, and gives what puts back the old one. */
async function overwrite(path: string, position: number, word: number): Promise<() => Promise<void>> {
  const file = await open(path, "r+");
  const before = Buffer.alloc(2);
  await file.read(before, 0, 2, position);
  await file.write(Uint8Array.of(word & 255, word >> 8), 0, 2, position);
  return async () => {
    await file.write(before, 0, 2, position);
    await file.close();
  };
}

async function refusal(backend: Backend, source: WeightSource): Promise<string> {
  const error = await backend.load([source]).then(
    () => assert.fail(`${backend.kind} loaded it`),
    (error: { code?: string; message: string }) => error,
  );
  await backend.close();
  assert.equal(error.code, "MODEL_CODES", error.message);
  return error.message;
}

function expected(type: DenseType, block: number, word: number): string {
  const { block: values, floats } = denseFormatOf(type);
  const { exponent } = floats[0];
  const index = block * values;
  const [row, column] = [Math.floor(index / COLUMNS), index % COLUMNS];
  const what = values === 1 ? "weights" : "block scales";
  const place = values === 1 ? `column ${column}` : `columns ${column} to ${column + values - 1}`;
  const value = word === exponent ? "Infinity" : word === (0x8000 | exponent) ? "-Infinity" : "NaN";
  // F32: the lower half of a random weight of the test's is 0
  const bits = `0x${word.toString(16)}${type === "F32" ? "0000" : ""}`;
  return `${type}.weight: expected finite ${type} ${what}, got ${value} (bits ${bits}) in row ${row}, ${place}. The file is damaged; download it again.`;
}
