/** `ternion trace` against the goldens, read back by the definition of the safetensors format. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GOLDEN_MODELS, loadGolden, rowErrors } from "../golden.js";
import { repositoryFile, TINY, ternion } from "./program.js";

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

async function readSafetensors(path: string) {
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const data = bytes.subarray(8 + length);
  const values = ({ data_offsets: [begin, end] }: Entry) =>
    new Float32Array(Uint8Array.from(data.subarray(begin, end)).buffer);
  return {
    metadata,
    entries: entries as Record<string, Entry>,
    values,
    headerBytes: length,
    dataBytes: data.byteLength,
  };
}

describe("ternion trace", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-trace-"));
  });
  after(() => rm(directory, { recursive: true }));

  for (const name of GOLDEN_MODELS) {
    for (const backend of ["cpu", "reference"]) {
      it(`writes the intermediates of ${name} as the golden has them, on ${backend}`, async () => {
        const golden = await loadGolden(name);
        const out = join(directory, `${name}-${backend}.safetensors`);
        const tokens = golden.tokens.join(",");
        const options = ["--model", golden.path, "--backend", backend, "--tokens", tokens, "--out", out];
        const { stdout, stderr, code } = await ternion(["trace", ...options]);
        assert.deepEqual({ stdout, code }, { stdout: "", code: 0 });
        assert.match(
          stderr,
          new RegExp(`^ternion: .*: ${golden.names.length} tensors for ${golden.tokens.length} tokens`),
        );

        const file = await readSafetensors(out);
        const index = JSON.parse(await readFile(repositoryFile(`test/golden/${name}/golden.json`), "utf8"));
        assert.equal(file.headerBytes % 8, 0);
        assert.equal(file.metadata.tokens, tokens);
        assert.equal(file.metadata.model, "model.gguf");
        assert.match(file.metadata.backend, new RegExp(`^${backend}: `));
        assert.deepEqual(Object.keys(file.entries), golden.names);
        let end = 0;
        for (const { name: tensor, shape } of index.tensors) {
          const entry = file.entries[tensor];
          assert.deepEqual({ dtype: entry.dtype, shape: entry.shape }, { dtype: "F32", shape });
          assert.equal(entry.data_offsets[0], end);
          end = entry.data_offsets[1];
          const errors = rowErrors(file.values(entry), golden.tensor(tensor), golden.tokens.length);
          // a rounding step in one row moves it and all later ones by about a per cent
          assert.ok(errors[0] < 1e-5 && Math.max(...errors) < 5e-2, `${tensor}: ${errors.join(" ")}`);
        }
        assert.equal(end, file.dataBytes);
      });
    }
  }

  it("says when the file cannot be written", async () => {
    const out = join(directory, "no", "where");
    const { stderr, code } = await ternion(["trace", "--model", TINY, "--tokens", "1", "--out", out]);
    assert.equal(code, 1);
    assert.match(stderr, /^ternion: .*no such file or directory.*\n$/);
  });
});
