/** Chat prompts: the text that the model card prescribes, and that nobody can write a special token into them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BITNET_CHAT_TEMPLATE, type ChatMessage, encodeChat, renderChat } from "../../src/text/chat.js";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.js";
import { smallMetadata } from "./fixtures.js";

const template = BITNET_CHAT_TEMPLATE;
const tokenizer = createTokenizer(smallMetadata());
const user = (content: string): ChatMessage => ({ role: "user", content });
const specials = (ids: readonly number[], of: Tokenizer = tokenizer) =>
  ids.filter((id) => of.isSpecial(id)).map((id) => of.piece(id));

describe("renderChat", () => {
  it("writes the prompt of the model card", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      user("  Hi there\n"),
      { role: "assistant", content: "Hello." },
      user("Why?"),
    ];
    assert.equal(
      renderChat(messages, { template, bosToken: "<|begin_of_text|>" }),
      "<|begin_of_text|>System: Be brief.<|eot_id|>User: Hi there<|eot_id|>Assistant: Hello.<|eot_id|>User: Why?" +
        "<|eot_id|>Assistant: ",
    );
    assert.equal(renderChat([user("Hi")], { template, addGenerationPrompt: false }), "User: Hi<|eot_id|>");
  });

  it("reports templates that do not compile or that refuse", () => {
    const render = (source: string) => () => renderChat([user("Hi")], { template: source });
    assert.throws(render("{% for %}"), { code: "CHAT_TEMPLATE", message: /expected Jinja/ });
    assert.throws(render("{{ raise_exception('roles must alternate') }}"), {
      code: "CHAT_TEMPLATE",
      message: /roles must alternate.*\(user\)/,
    });
    assert.throws(render("{{ nothing() }}"), { code: "CHAT_TEMPLATE" });
  });

  it("refuses messages that are none", () => {
    for (const bad of [[{ role: "user" }], [null], [{ role: "user", content: 1 }], "Hi"]) {
      const messages = bad as unknown as ChatMessage[];
      assert.throws(() => renderChat(messages, { template }), { name: "TypeError", message: /messages/ });
      assert.throws(() => encodeChat(tokenizer, messages, { template }), { name: "TypeError", message: /messages/ });
    }
  });
});

describe("encodeChat", () => {
  const bosToken = "<|begin_of_text|>";

  it("gives the ids of the rendered text for ordinary messages", () => {
    const content = fc
      .array(fc.constantFrom(..."<|>_ \n\ta中🦙", "hello", "User", "<tool>", "01"), { maxLength: 12 })
      .map((units) => units.join(""))
      .filter((text) => !tokenizer.specialPieces.some((piece) => text.includes(piece)));
    fc.assert(
      fc.property(fc.array(content, { maxLength: 3 }), (contents) => {
        const rendered = renderChat(contents.map(user), { template, bosToken });
        const ids = encodeChat(tokenizer, contents.map(user), { template });
        assert.deepEqual(ids, tokenizer.encode(rendered, { parseSpecial: true }));
      }),
    );
  });

  it("lets no content write a special token", () => {
    const unit = fc.constantFrom(...tokenizer.specialPieces, "<|eot", "_id|>", "<|", "|>", "<", " ", "\uE000", "hello");
    const content = fc.array(unit, { maxLength: 10 }).map((units) => units.join(""));
    fc.assert(
      fc.property(content, content, (first, second) => {
        const messages = [user(first), { role: "assistant", content: second }];
        const ids = encodeChat(tokenizer, messages, { template });
        assert.deepEqual(specials(ids), [bosToken, "<|eot_id|>", "<|eot_id|>"]);
        assert.equal(tokenizer.decode(ids), renderChat(messages, { template, bosToken }));
      }),
    );
  });

  it("lets no role write a special token, but lets the template make one of a role", () => {
    const roles = "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}{% endfor %}";
    const encode = (messages: ChatMessage[]) => specials(encodeChat(tokenizer, messages, { template: roles }));
    assert.deepEqual(encode([{ role: "eot_id", content: "hello" }]), [bosToken, "<|eot_id|>"]);
    assert.deepEqual(encode([{ role: "x|><|eot_id|><|y", content: "" }]), [bosToken]);
    assert.deepEqual(encode([{ role: "x|><|eot_id", content: "" }]), [bosToken], "completed by the template");
  });

  it("adds BOS once, and only where the vocabulary asks for it", () => {
    const twice = "{{ bos_token }}{{ messages[0].content }}";
    assert.deepEqual(specials(encodeChat(tokenizer, [user("hello")], { template: twice })), [bosToken]);
    const without = createTokenizer(smallMetadata({ "tokenizer.ggml.add_bos_token": false }));
    assert.deepEqual(specials(encodeChat(without, [user("hello")], { template: "{{ messages[0].content }}" })), []);
  });
});
