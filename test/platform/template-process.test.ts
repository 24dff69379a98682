/** Templates that never end, take all memory or recurse: each fails alone, and whoever waits is served. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, describe, it } from "node:test";
import { promisify } from "node:util";
import { renderChat } from "../../src/engine/text.js";
import { TemplateProcess } from "../../src/platform/template-process.js";

const messages = [{ role: "user", content: "Hi" }];
const loops = (depth: number, body: string) =>
  `${"{% for i in range(99999) %}".repeat(depth)}${body}${"{% endfor %}".repeat(depth)}`;
const endless = loops(4, "x");

describe("bounds", () => {
  const bombs: [string, string, RegExp][] = [
    ["a range without end", "{{ range(10000000000) }}", /range\(\): expected at most 100000 items/],
    ["nested loops", endless, /end within 0.3 s/],
    [
      "a text that doubles",
      `{% set n = namespace(s='ab') %}${loops(1, "{% set n.s = n.s + n.s %}{% if 'z' in n.s %}{% endif %}")}`,
      /Invalid string length|needs more than 256 MB|within 0.3 s/,
    ],
    [
      "a list that doubles",
      `{% set n = namespace(a=[1]) %}${loops(1, "{% set n.a = n.a + n.a %}")}`,
      /256 MB|within 0.3/,
    ],
    ["an indent of gigabytes", "{{ 'a\nb' | indent(500000000) }}", /256 MB|within 0.3|of at most|string length/],
    [
      "a macro that calls itself",
      "{% macro f(f, x) %}{{ f(f, x) }}{% endmacro %}{{ f(f, 1) }}",
      /call stack|within 0.3/,
    ],
    ["brackets without end", `{{ ${"(".repeat(500_000)}`, /call stack|within 0.3|expected Jinja/],
    ["blanks before a tag", `${" ".repeat(900_000)}x{% generation`, /within 0.3|expected Jinja/],
    ["too long a template", "x".repeat(2 ** 20 + 1), /at most 1048576 characters/],
    [
      "a long prompt",
      `{% set x = messages[0].content %}${loops(1, "{{ x ~ x ~ x ~ x }}".repeat(40))}`,
      /of at most|within/,
    ],
  ];
  for (const [name, template, message] of bombs) {
    it(name, async () => {
      const long = [{ role: "user", content: "Hi ".repeat(10) }];
      await assert.rejects(renderChat(long, { template, templateTimeoutMs: 300 }), { code: "CHAT_TEMPLATE", message });
      assert.equal(await renderChat(messages, { template: "{{ messages[0].content }}" }), "Hi");
    });
  }
});

describe("one process", () => {
  const shared = new TemplateProcess();
  after(() => shared.close());
  const run = (template: string, signal?: AbortSignal, timeoutMs = 20_000) =>
    shared.run({ template, render: { variables: {} }, timeoutMs }, signal);

  it("answers those that wait when another is ended", async () => {
    const long = assert.rejects(run(endless, undefined, 300), { code: "CHAT_TEMPLATE" });
    const others = [run("a"), run("b"), run("{% foo %}")];
    await long;
    assert.deepEqual((await Promise.all(others)).slice(0, 2), [{ text: "a" }, { text: "b" }]);
  });

  it("gives up by the signal, under way and while waiting", async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const running = run(endless, first.signal);
    const waiting = run("a", second.signal);
    const last = run("b");
    second.abort(new Error("second"));
    await assert.rejects(waiting, /second/);
    setTimeout(() => first.abort(new Error("first")), 50);
    await assert.rejects(running, /first/);
    assert.deepEqual(await last, { text: "b" });
    await assert.rejects(run("a", AbortSignal.abort(new Error("before"))), /before/);
  });

  it("rejects with CLOSED once closed, what is under way too", async () => {
    const own = new TemplateProcess();
    const running = own.run({ template: endless, render: { variables: {} }, timeoutMs: 20_000 });
    const waiting = own.run({ template: "a", render: { variables: {} }, timeoutMs: 20_000 });
    own.close();
    await assert.rejects(running, { code: "CLOSED" });
    await assert.rejects(waiting, { code: "CLOSED" });
    await assert.rejects(own.run({ template: "a", timeoutMs: 100 }), { code: "CLOSED" });
  });

  it("says that it cannot start, and may start later", async () => {
    const own = new TemplateProcess();
    const { execPath } = process;
    try {
      process.execPath = "/nowhere/node";
      const message = /cannot start: .*ENOENT/;
      await assert.rejects(own.run({ template: "a", timeoutMs: 100 }), { code: "CHAT_TEMPLATE", message });
    } finally {
      process.execPath = execPath;
    }
    assert.deepEqual(await own.run({ template: "a", timeoutMs: 20_000 }), { literals: ["a"] });
    own.close();
  });

  it("keeps nobody alive", async () => {
    const chat = new URL("../../src/engine/text.js", import.meta.url).href;
    const program = `import { renderChat } from ${JSON.stringify(chat)};
      console.log(await renderChat([{ role: "user", content: "Hi" }], { template: "{{ messages[0].content }}!" }));`;
    const node = ["--input-type=module", "--eval", program];
    const { stdout } = await promisify(execFile)(process.execPath, node, { timeout: 30_000 });
    assert.equal(stdout, "Hi!\n");
  });
});
