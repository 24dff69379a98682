/** The defects of the official file are repaired and reported, once; a sound file is left alone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { repairMetadata } from "../../src/model/repair.js";
import { BITNET_CHAT_TEMPLATE } from "../../src/text/chat.js";
import { smallMetadata, strings } from "../text/fixtures.js";
import { llama3Vocabulary } from "../vocabulary.js";

const keys = (metadata: Parameters<typeof repairMetadata>[0]) => repairMetadata(metadata).repairs.map(({ key }) => key);

describe("repairMetadata", () => {
  it("repairs the three defects of the official file, in a copy, once", async () => {
    const { metadata } = await readGguf(await llama3Vocabulary());
    const before = new Map(metadata);
    const { metadata: repaired, repairs } = repairMetadata(metadata);
    assert.deepEqual(
      repairs.map(({ key }) => key),
      ["tokenizer.ggml.pre", "tokenizer.chat_template", "tokenizer.ggml.eot_token_id"],
    );
    for (const { problem, replacement: what } of repairs) assert.ok(problem !== "" && what !== "");
    assert.equal(repaired.get("tokenizer.ggml.pre"), "llama-bpe");
    assert.equal(repaired.get("tokenizer.chat_template"), BITNET_CHAT_TEMPLATE);
    assert.equal(repaired.get("tokenizer.ggml.eot_token_id"), 128_009);
    assert.deepEqual(new Map(metadata), before);
    assert.deepEqual(repairMetadata(repaired), { metadata: repaired, repairs: [] });
  });

  it("leaves a sound file alone", () => {
    const sound = smallMetadata({ "tokenizer.chat_template": "{{ messages[0].content }}" });
    assert.deepEqual(repairMetadata(sound), { metadata: sound, repairs: [] });
    assert.deepEqual(repairMetadata(new Map()), { metadata: new Map(), repairs: [] });
  });

  it("gives a chat template only to BitNet models with an end of turn", () => {
    assert.deepEqual(keys(smallMetadata()), ["tokenizer.chat_template"]);
    assert.deepEqual(keys(smallMetadata({ "general.architecture": "llama" })), []);
    const tokens = { "tokenizer.ggml.tokens": strings(["a"]), "tokenizer.ggml.eot_token_id": undefined };
    assert.deepEqual(keys(smallMetadata(tokens)), []);
  });

  it("does not guess the split of another kind of tokenizer", () => {
    const changes = { "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": undefined };
    assert.ok(!keys(smallMetadata(changes)).includes("tokenizer.ggml.pre"));
  });
});
