/** `verify` with another engine's dump: the goldens pass, a copy with one op moved fails and names it. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { writeSafetensors } from "../../../src/cli/safetensors.js";
import { verify } from "../../../src/index.js";
import { traceName } from "../../../src/tools/verify/dump.js";
import { ternion } from "../../cli/program.js";
import { GOLDEN_MODELS, type Golden, loadGolden } from "../../golden.js";

/** transformers' names of what its hooks see; what they do not see is left out. */
const MODULES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  v: "self_attn.v_proj",
  attn_ctx: "self_attn.attn_sub_norm.input",
  attn_sub_norm: "self_attn.attn_sub_norm",
  attn_out: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_sub_norm: "mlp.ffn_sub_norm",
  ffn_down: "mlp.down_proj.output",
};

function moduleName(name: string): string | undefined {
  const [, layer, op] = /^blk\.(\d+)\.(\w+)$/.exec(name) ?? [];
  if (layer === undefined) return { embd: "model.embed_tokens", result_norm: "model.norm", logits: "lm_head" }[name];
  if (op === "l_out") return `model.layers.${layer}`;
  return Object.hasOwn(MODULES, op) ? `model.layers.${layer}.${MODULES[op]}` : undefined;
}

describe("verify against a dump", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-against-"));
  });
  after(() => rm(directory, { recursive: true }));

  async function dump(golden: Golden, rename: (name: string) => string | undefined, moved?: string): Promise<string> {
    const path = join(directory, `${golden.config.layers}-${rename.name}-${moved}.safetensors`);
    const tensors = golden.names.flatMap((name) => {
      const data = golden.tensor(name);
      if (name === moved) for (let i = 5; i < data.length; i += 40) data[i] *= 1.1;
      const renamed = rename(name);
      return renamed === undefined ? [] : [{ name: renamed, shape: [data.length], data }];
    });
    await writeSafetensors(path, tensors, { tokens: golden.tokens.join(",") });
    return path;
  }
  const same = (name: string) => name;

  for (const name of GOLDEN_MODELS) {
    it(`passes on the golden of ${name}`, async () => {
      const golden = await loadGolden(name);
      const options = { threads: 2, endToEnd: false };
      const verdict = await verify(golden.path, { ...options, against: await dump(golden, same) });
      assert.deepEqual([verdict.ok, verdict.against?.firstFault], [true, undefined]);
      assert.deepEqual(verdict.tokens, golden.tokens);
      assert.deepEqual(
        verdict.against?.ops.map((op) => op.name),
        golden.names,
      );
      assert.ok(verdict.against.endToEnd.top1 >= 0.9 * golden.tokens.length);
    });

    it(`passes on the golden of ${name} by the names of transformers' modules, with gaps`, async () => {
      const golden = await loadGolden(name);
      const verdict = await verify(golden.path, { threads: 2, against: await dump(golden, moduleName) });
      assert.deepEqual([verdict.ok, verdict.against?.firstFault], [true, undefined]);
      assert.equal(verdict.against?.ops.length, 3 + 9 * golden.config.layers);
    });
  }

  for (const moved of ["blk.1.attn_sub_norm", "blk.0.v", "blk.1.l_out", "result_norm"]) {
    it(`names ${moved} where a dump differs there`, async () => {
      const golden = await loadGolden("tiny");
      const against = await dump(golden, same, moved);
      const verdict = await verify(golden.path, { threads: 2, endToEnd: false, against });
      assert.equal(verdict.ok, false);
      assert.equal(verdict.firstFault, undefined);
      assert.equal(verdict.against?.firstFault?.name, moved);
    });
  }

  it("gives a verdict as text and JSON, and exit code 1 for a wrong dump", async () => {
    const golden = await loadGolden("tiny");
    const args = ["verify", "--model", golden.path, "-t", "2", "--against"];
    const right = await ternion([...args, await dump(golden, same), "--json"]);
    assert.equal(right.code, 0);
    assert.equal(JSON.parse(right.stdout).ok, true);
    const wrong = await ternion([...args, await dump(golden, same, "blk.1.attn_ctx")]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /first fault: blk\.1\.attn_ctx, row 0: element \d+ is .*\n\nverdict: WRONG\n$/s);
  });

  it("finds the model in the box right", async () => {
    const { stdout, code } = await ternion(["verify", "-t", "2", "--tokens", "1,2,3,4,5,6"]);
    assert.equal(code, 0);
    assert.match(stdout, /top-1 equal on \d of 6 tokens.*\nverdict: right\n$/s);
  });

  it("refuses what is no dump, and a dump without tokens", async () => {
    const golden = await loadGolden("tiny");
    const refused = (against: string) => assert.rejects(verify(golden.path, { against }), { code: "VERIFY_DUMP" });
    await refused(golden.path);
    await refused(join(directory, "nowhere"));
    const path = join(directory, "no-tokens.safetensors");
    await writeSafetensors(path, [{ name: "embd", shape: [256], data: new Float32Array(256) }], {});
    await refused(path);
  });

  it("knows the names of traces and of transformers' modules, and no others", () => {
    assert.equal(traceName("blk.3.q_rope"), "blk.3.q_rope");
    assert.equal(traceName("model.layers.12.self_attn.q_proj"), "blk.12.q");
    assert.equal(traceName("model.layers.12.mlp"), "blk.12.ffn_down");
    assert.equal(traceName("model.layers.12.mlp.gate_proj.input"), undefined);
    assert.equal(traceName("blk.3.nothing"), undefined);
  });
});
