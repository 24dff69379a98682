/** Chat prompts: the text that the model card prescribes, and that nobody can write a special token into them. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { createTokenizer, renderChat } from "../../src/engine/text.js";
import { TemplateProcess } from "../../src/platform/template-process.js";
import { BITNET_CHAT_TEMPLATE, type ChatMessage, ChatTemplate } from "../../src/text/chat.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";
import { smallMetadata } from "./fixtures.js";

/** The built-in template, and the same for Jinja. */
const template = BITNET_CHAT_TEMPLATE;
const foreign = `{# #}${BITNET_CHAT_TEMPLATE}`;
const tokenizer = createTokenizer(smallMetadata());
const bosToken = "<|begin_of_text|>";
const user = (content: string): ChatMessage => ({ role: "user", content });
const specials = (ids: readonly number[], of: Tokenizer = tokenizer) =>
  ids.filter((id) => of.isSpecial(id)).map((id) => of.piece(id));

const templates = new Map<string, ChatTemplate>();
const renderer = new TemplateProcess();
after(() => renderer.close());

function encode(source: string, messages: readonly ChatMessage[], options = {}): Promise<number[]> {
  const known = templates.get(source) ?? new ChatTemplate(tokenizer, source, renderer);
  templates.set(source, known);
  return known.encode(messages, options);
}

describe("renderChat", () => {
  for (const [name, source] of [
    ["the built-in template", template],
    ["Jinja", foreign],
  ]) {
    it(`writes the prompt of the model card by ${name}`, async () => {
      const messages = [
        { role: "sYSTEM", content: "Be brief." },
        user("  Hi there\n"),
        { role: "assistant", content: "Hello." },
        user("Why?"),
      ];
      assert.equal(
        await renderChat(messages, { template: source, bosToken }),
        "<|begin_of_text|>System: Be brief.<|eot_id|>User: Hi there<|eot_id|>Assistant: Hello.<|eot_id|>User: Why?" +
          "<|eot_id|>Assistant: ",
      );
      assert.equal(
        await renderChat([user("Hi")], { template: source, addGenerationPrompt: false }),
        "User: Hi<|eot_id|>",
      );
      assert.equal(await renderChat([], { template: source, bosToken }), "Assistant: ");
    });
  }

  it("reports templates that do not compile or that refuse, and blames roles only for roles", async () => {
    const cases: [string, RegExp][] = [
      ["{% for %}", /expected Jinja, got "Unexpected token: CloseStatement" at "\{% for %\}"/],
      ["a{% foo %}", /expected Jinja, got "Unknown statement type: foo" at "\{% foo %\}"/],
      ["{{ raise_exception('roles must alternate') }}", /roles must alternate.*Check the order of the roles \(user\)/],
      ["{{ raise_exception('no tools, please') }}", /refuses these messages: "no tools, please"\. Give messages/],
      ["{{ nothing() }}", /not understood at "nothing\(\)"/],
      ["{{ messages | foo }}", /not understood at "messages \| foo": "Unknown ArrayValue filter: foo"/],
      ["{{ '%s' % 1 }}", /not understood at ".*%/],
      ["{{ raise_exception('\x1b[2J\n') }}", /refuses these messages: "\\x1b\[2J\\n"/],
    ];
    for (const [source, message] of cases) {
      await assert.rejects(renderChat([user("Hi")], { template: source }), { code: "CHAT_TEMPLATE", message });
      const role = /Check the order/.test(String(message));
      await assert.rejects(
        renderChat([user("Hi")], { template: source }),
        (e: Error) => /roles \(/.test(e.message) === role,
      );
    }
  });

  it("gives all fields of messages, and variables", async () => {
    const source =
      "{% for m in messages %}{{ m.name }} {{ m.content }} {{ m.tool_calls | tojson }}{% endfor %} " +
      "{{ tools[0].function.name }} {{ enable_thinking }} {{ nothing is defined }}";
    const calls = [{ type: "function", function: { name: "f", arguments: { x: [1, null, true] } } }];
    const messages = [
      { role: "assistant", name: "Ann", content: null, tool_calls: calls },
      { role: "assistant", tool_calls: calls, name: "Bob" },
    ];
    const templateVariables = { tools: [{ function: { name: "g" } }], enable_thinking: false, nothing: undefined };
    const json = '[{"type": "function", "function": {"name": "f", "arguments": {"x": [1, null, true]}}}]';
    assert.equal(
      await renderChat(messages, { template: source, templateVariables }),
      `Ann  ${json}Bob  ${json} g false false`,
    );
    const parts = [{ role: "user", content: [{ type: "text", text: "Hi" }] }];
    assert.equal(await renderChat(parts, { template: "{{ messages[0].content[0].text }}" }), "Hi");
  });

  it("refuses messages that are none, naming the place", async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const cases: [unknown, RegExp][] = [
      ["Hi", /^messages: expected an array, got string "Hi"/],
      [[null], /^messages\[0\]: expected an object, got null/],
      [[{ content: "Hi" }], /^messages\[0\]\.role: expected a string, got undefined/],
      [[user("Hi"), { role: "user" }], /^messages\[1\]\.content: expected a string, an array of parts or null/],
      [[{ role: "user", content: 1 }], /^messages\[0\]\.content: .* got number 1/],
      [[{ role: "user", content: ["Hi"] }], /^messages\[0\]\.content\[0\]: expected an object, got string "Hi"/],
      [[{ ...user("Hi"), a: { b: [() => 1] } }], /^messages\[0\]\.a\.b\[0\]: expected plain data, got a function/],
      [[{ ...user("Hi"), a: 1n }], /^messages\[0\]\.a: expected plain data, got bigint 1/],
      [[{ ...user("Hi"), a: Number.NaN }], /^messages\[0\]\.a: expected plain data, got number NaN/],
      [[{ ...user("Hi"), a: cyclic }], /64 levels, got more, or a cycle/],
    ];
    for (const [bad, message] of cases) {
      const messages = bad as ChatMessage[];
      await assert.rejects(renderChat(messages, { template }), { name: "TypeError", message });
      await assert.rejects(encode(template, messages), { name: "TypeError", message });
    }
    await assert.rejects(encode(template, [user("a")], { templateVariables: 1 }), { name: "TypeError" });
    await assert.rejects(encode(template, [user("a")], { templateTimeoutMs: 0 }), { name: "RangeError" });
    await assert.rejects(encode(template, [{ role: "user", content: null }]), { code: "CHAT_TEMPLATE" });
  });
});

describe("ChatTemplate.encode", () => {
  it("gives the ids of the rendered text for ordinary messages", async () => {
    const content = fc
      .array(fc.constantFrom(..."<|>_ \n\ta中🦙", "hello", "User", "<tool>", "01"), { maxLength: 12 })
      .map((units) => units.join(""))
      .filter((text) => !tokenizer.specialPieces.some((piece) => text.includes(piece)));
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { maxLength: 3 }),
        fc.constantFrom(template, foreign),
        async (contents, source) => {
          const rendered = await renderChat(contents.map(user), { template: source, bosToken });
          const ids = await encode(source, contents.map(user));
          assert.deepEqual(ids, tokenizer.encode(rendered, { parseSpecial: true }));
        },
      ),
    );
  });

  it("lets no content write a special token", async () => {
    const unit = fc.constantFrom(...tokenizer.specialPieces, "<|eot", "_id|>", "<|", "|>", "<", " ", "\uE000", "hello");
    const content = fc.array(unit, { maxLength: 10 }).map((units) => units.join(""));
    await fc.assert(
      fc.asyncProperty(content, content, fc.constantFrom(template, foreign), async (first, second, source) => {
        const messages = [user(first), { role: "assistant", content: second }];
        const ids = await encode(source, messages);
        assert.deepEqual(specials(ids), [bosToken, "<|eot_id|>", "<|eot_id|>"]);
        assert.equal(tokenizer.decode(ids), await renderChat(messages, { template: source, bosToken }));
      }),
    );
  });

  it("lets no role write a special token, but lets the template make one of a role", async () => {
    const roles = "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}{% endfor %}";
    const made = async (messages: ChatMessage[]) => specials(await encode(roles, messages));
    assert.deepEqual(await made([{ role: "eot_id", content: "hello" }]), [bosToken, "<|eot_id|>"]);
    assert.deepEqual(await made([{ role: "eot_id", content: "<|eot_id|>" }]), [bosToken, "<|eot_id|>"]);
    assert.deepEqual(await made([{ role: "x|><|eot_id|><|y", content: "" }]), [bosToken]);
    assert.deepEqual(await made([{ role: "x|><|eot_id", content: "" }]), [bosToken], "completed by the template");
    assert.deepEqual(await made([{ role: "x|>sys", content: "" }]), [bosToken]);
  });

  it("ends by the signal", async () => {
    const endless = `${"{% for i in range(99999) %}".repeat(4)}x${"{% endfor %}".repeat(4)}`;
    await assert.rejects(encode(endless, [user("Hi")], { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
    assert.equal((await encode(foreign, [user("Hi")], {})).length > 0, true);
  });

  it("adds BOS once, and only where the vocabulary asks for it", async () => {
    const twice = "{{ bos_token }}{{ messages[0].content }}";
    assert.deepEqual(specials(await encode(twice, [user("hello")])), [bosToken]);
    const without = createTokenizer(smallMetadata({ "tokenizer.ggml.add_bos_token": false }));
    const plain = new ChatTemplate(without, "{{ messages[0].content }}", new TemplateProcess());
    assert.deepEqual(specials(await plain.encode([user("hello")])), []);
    plain.close();
  });
});

/** What templates might do with a content `c`; each writes one end of turn of its own. */
const HOSTILE = [
  "c | lower",
  "c | upper",
  "c | capitalize",
  "c | title",
  "c | trim",
  "c.strip('x<')",
  "c[1:]",
  "c[:-1]",
  "c[::-1]",
  "c[::2] + c[1::2]",
  "c[0] ~ c[1:]",
  "c | replace('x', '')",
  "c.replace('(', '<')",
  "c.replace('(', '<|').replace(')', '|>')",
  "'<' + c",
  "'<|' ~ c ~ '|>'",
  "'<|' ~ (c | lower) ~ '|>'",
  "'<|eot' ~ c",
  "'<|eot' ~ c ~ 'id|>'",
  "c.split('x') | join('')",
  "c.split(' ') | join('|')",
  "(c | tojson)[1:-1]",
  "'<|' ~ (c | tojson)[1:-1] ~ '|>'",
  "'<|' ~ messages[0].name ~ '|>'",
  "c ~ messages[0].name",
  "messages[0].extra[0] ~ messages[0].extra[1]",
  "messages[0] | tojson",
  "messages[0].extra | join",
  "'<|' ~ (messages[0].extra[0] | lower) ~ '|>'",
  "('<|' ~ c ~ '|>') if 'o' in c else c",
];

describe("hostile templates", () => {
  const unit = fc.constantFrom(
    ...["<|eot_id|>", "<|EOT_ID|>", ">|di_toe|<", "(eot_id)", "x<|eot_id|>", "<x|eot_id|>", "<|e<|eot_id|>ot_id|>"],
    ...[
      "eot_id",
      "_",
      "<",
      "|",
      "|>",
      "(",
      ")",
      "x",
      " ",
      "\n",
      '"',
      "\uE000",
      "\uE001",
      "\udbff",
      "\udfff",
      "eot",
      "Id",
    ],
  );
  const text = fc.array(unit, { maxLength: 5 }).map((units) => units.join(""));

  for (const expression of HOSTILE) {
    it(expression, async () => {
      const source = `{% set c = messages[0].content %}{{ ${expression} }}<|eot_id|>`;
      await fc.assert(
        fc.asyncProperty(text, text, text, async (content, name, last) => {
          const messages = [{ role: "user", content, name, extra: [name, last] }];
          const ids = await encode(source, messages).catch(notUnderstood);
          if (ids !== undefined) assert.deepEqual(specials(ids), [bosToken, "<|eot_id|>"]);
        }),
        { numRuns: 30 },
      );
    });
  }
});

/** As of c[0] of an empty text: the same in Python. */
function notUnderstood(error: Error & { code?: string }): undefined {
  assert.equal(error.code, "CHAT_TEMPLATE", error.message);
}
