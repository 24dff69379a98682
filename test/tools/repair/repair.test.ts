/** Model files written again: repaired, in the standard layout, all else byte for byte, and nothing in the way is lost. */
import assert from "node:assert/strict";
import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import type { TernaryLayout } from "../../../src/backend/backend.js";
import { openGguf } from "../../../src/engine/input.js";
import { writeGguf } from "../../../src/engine/write.js";
import { keyValues } from "../../../src/gguf/write.js";
import { Engine, type GgufTensor, readGguf, repairFile, repairMetadata } from "../../../src/index.js";
import { ternion } from "../../cli/program.js";
import { repositoryFile } from "../../golden.js";
import { reorder, rewriteCodes } from "../../layouts.js";

const BOX = repositoryFile("models/ternion-tiny.gguf");
/** random weights, and metadata with defects */
const TINY = repositoryFile("test/golden/tiny/model.gguf");

const folders: string[] = [];
let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-repair-"));
  folders.push(folder);
  out = join(folder, "out.gguf");
});
after(() => Promise.all(folders.map((path) => rm(path, { recursive: true }))));

/** The bytes of each tensor by name. */
async function tensorBytes(path: string): Promise<Map<string, Buffer>> {
  const bytes = await readFile(path);
  const tensors = (await readGguf(path)).tensors.values();
  return new Map(
    Array.from(tensors, ({ name, offset, byteLength }) => [name, bytes.subarray(offset, offset + byteLength)]),
  );
}

async function inLayout(layout: TernaryLayout): Promise<string> {
  const path = join(folder, `${layout}.gguf`);
  await rewriteCodes(BOX, path, (codes, columns) => reorder(codes, columns, "block128", layout));
  return path;
}

describe("repairFile", () => {
  it("repairs the metadata and leaves all else as it is", async () => {
    await assert.rejects(Engine.load(TINY, { backend: "reference", strict: true }), { code: "MODEL_REPAIR" });
    const { repairs, i2sLayout, byteLength } = await repairFile(TINY, out);
    assert.equal(i2sLayout, "block128");
    const [before, repaired] = [await readGguf(TINY), await readGguf(out)];
    assert.equal(repaired.byteLength, byteLength);
    const expected = repairMetadata(before.metadata);
    assert.ok(repairs.length > 0);
    assert.deepEqual(repairs, expected.repairs);
    assert.deepEqual(new Map(repaired.metadata), expected.metadata);
    for (const [key, type] of before.valueTypes) assert.equal(repaired.valueTypes.get(key), type);
    assert.deepEqual(await tensorBytes(out), await tensorBytes(TINY));
    await using engine = await Engine.load(out, { backend: "reference", contextLength: 64, strict: true });
    assert.deepEqual(engine.loadReport.repairs, []);
  });

  it("leaves out a head that the architecture has no use for, which changes no logit", async () => {
    const golden = repositoryFile("test/golden/bitnet-tq1/model.gguf");
    const file = await openGguf(golden);
    const bytes = await tensorBytes(golden);
    const tensors = Array.from(file.tensors.values(), ({ name, type, dims }) => {
      return {
        name,
        type,
        dims,
        data: async function* () {
          yield bytes.get(name) as Buffer;
        },
      };
    });
    const head = { ...tensors[0], name: "output.weight", type: "F16", dims: [512, 340] } as const;
    const zeros = async function* () {
      yield new Uint8Array(2 * 512 * 340);
    };
    const withHead = join(folder, "head.gguf");
    await writeGguf(withHead, { metadata: keyValues(file), tensors: [...tensors, { ...head, data: zeros }] });
    const { repairs } = await repairFile(withHead, out);
    assert.deepEqual(
      repairs.map(({ key }) => key),
      ["output.weight"],
    );
    assert.deepEqual(await tensorBytes(out), bytes);
    const logits = await Promise.all(
      [golden, withHead].map(async (path) => {
        await using engine = await Engine.load(path, { backend: "reference", contextLength: 64 });
        return (await engine.trace([1, 2, 3])).get("logits");
      }),
    );
    assert.deepEqual(logits[1], logits[0]);
  });

  it("repairs nothing of its own output", async () => {
    await repairFile(TINY, out);
    const again = join(folder, "again.gguf");
    assert.deepEqual((await repairFile(out, again)).repairs, []);
    assert.ok((await readFile(again)).equals(await readFile(out)));
  });

  for (const layout of ["block64", "rows4"] as const) {
    it(`brings ${layout} into the standard layout, found or named`, async () => {
      const path = await inLayout(layout);
      const original = await tensorBytes(BOX);
      assert.notDeepEqual(await tensorBytes(path), original);
      const ends: number[] = [];
      const found = await repairFile(path, out, { onProgress: (written) => void ends.push(written) });
      assert.equal(found.i2sLayout, layout);
      const { offset, byteLength } = (await readGguf(out)).tensors.get("blk.0.ffn_down.weight") as GgufTensor;
      const chunks = ends.filter((end) => end > offset && end <= offset + byteLength).length;
      assert.ok(chunks > 2, "its codes are cut into chunks, and the scale is one");
      assert.deepEqual(await tensorBytes(out), original);
      await repairFile(path, out, { i2sLayout: layout, force: true });
      assert.deepEqual(await tensorBytes(out), original);
    });
  }

  it("leaves nothing behind when it is aborted, at any chunk", async () => {
    let chunks = 0;
    await repairFile(TINY, out, { onProgress: () => void chunks++ });
    await rm(out);
    for (const last of [1, chunks]) {
      const abort = new AbortController();
      let seen = 0;
      const onProgress = () => {
        if (++seen === last) abort.abort(new Error("enough"));
      };
      await assert.rejects(repairFile(TINY, out, { onProgress, signal: abort.signal }), { message: "enough" });
      assert.equal(seen, last);
      assert.deepEqual(await readdir(folder), []);
    }
  });

  it("leaves nothing behind when it fails, and an older file as it was", async () => {
    const onProgress = () => {
      throw new Error("broken");
    };
    await assert.rejects(repairFile(TINY, out, { onProgress }), { message: "broken" });
    assert.deepEqual(await readdir(folder), []);
    await writeFile(out, "older");
    await assert.rejects(repairFile(TINY, out, { onProgress, force: true }), { message: "broken" });
    assert.deepEqual(await readdir(folder), ["out.gguf"]);
    assert.equal(await readFile(out, "utf8"), "older");
  });

  it("never writes over the original, by whatever name", async (t) => {
    const [original, other] = [join(folder, "in.gguf"), join(folder, "other")];
    const bytes = await readFile(TINY);
    await writeFile(original, bytes);
    await mkdir(other);
    await link(original, join(folder, "link.gguf"));
    const names = [original, join(other, "..", "in.gguf"), join(folder, "link.gguf")];
    await t.test("a symbolic link", { skip: process.platform === "win32" && "it needs a right there" }, async () => {
      await symlink(original, out);
      names.push(out);
    });
    for (const name of names) {
      await assert.rejects(repairFile(original, name, { force: true }), /^RangeError: .*expected another file/);
    }
    const partial = join(folder, "model.gguf.part"); // a name that a writer might think its own
    await writeFile(partial, bytes);
    await repairFile(partial, join(folder, "model.gguf"));
    assert.ok((await readFile(partial)).equals(bytes));
    assert.ok((await readFile(original)).equals(bytes));
  });

  it("refuses an unknown layout", async () => {
    const options = { i2sLayout: "block256" as TernaryLayout };
    await assert.rejects(repairFile(TINY, out, options), /^RangeError: i2sLayout: expected auto or block128 or/);
    assert.deepEqual(await readdir(folder), []);
  });
});

describe("ternion repair", () => {
  it("says what it repaired, and replaces a file only with --force", async () => {
    const { stdout, stderr, code } = await ternion(["repair", TINY, out]);
    assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
    assert.match(stdout, /^repaired tokenizer\.ggml\.pre: absent; now "llama-bpe"/m);
    assert.match(stdout, /^wrote .*out\.gguf, \d+ bytes$/m);
    const bytes = await readFile(out);
    const refused = await ternion(["repair", BOX, out]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^ternion: .*out\.gguf: expected no such file, got one; .*\n$/);
    assert.ok((await readFile(out)).equals(bytes));
    const rows4 = await inLayout("rows4");
    const forced = await ternion(["repair", rows4, out, "--force"]);
    assert.equal(forced.code, 0);
    assert.match(forced.stdout, /^repaired ternary codes: in layout rows4; now block128$/m);
    assert.deepEqual(await tensorBytes(out), await tensorBytes(BOX));
  });

  it("ends with 2 where both names are of one file, and has help", async () => {
    assert.equal((await ternion(["repair", BOX, BOX, "--force"])).code, 2);
    const { stdout, code } = await ternion(["repair", "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: ternion repair \[options\] <IN> <OUT>\n.*\nExamples:\n.*\nExit codes: /s);
  });
});
