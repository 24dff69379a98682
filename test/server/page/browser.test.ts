/**
 * The chat page in Chromium over a server that answers what a test says: what no model can be made to write, errors, and
 * streams that stop half-way. `live.test.ts` has it over the real server.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { BROWSER_PATIENCE, withoutChromium } from "../../chromium.js";
import { CannedServer, delta, refuse, stream } from "./canned.js";
import { type ChatTab, PageBrowser } from "./tab.js";

const OPTIONS = { skip: withoutChromium, timeout: 2 * BROWSER_PATIENCE };

describe("the chat page", OPTIONS, () => {
  let browser: PageBrowser;
  let server: CannedServer;
  let tab: ChatTab;

  before(async () => {
    browser = await PageBrowser.open();
  });
  after(() => browser.close());

  /** A server of its own has an origin of its own, and so a storage of its own. */
  const fresh = (name: string, run: () => Promise<void>) =>
    test(name, async () => {
      server = await CannedServer.start();
      try {
        tab = await browser.tab(server.url);
        await run();
        tab.assertQuiet();
      } finally {
        await tab?.page.close();
        await server.close();
      }
    });

  fresh("Markdown, code with its language, figures", async () => {
    server.reply = (_, reply) => stream(reply, ["Some **bo", "ld** text:\n  indented\n\n```js\nlet a", " = 1;\n```\n"]);
    await tab.ask("Write code");
    const answer = tab.answer();
    assert.equal(await answer.locator("strong").textContent(), "bold");
    assert.equal(await answer.locator(".markdown p").textContent(), "Some bold text:  indented");
    assert.equal(await answer.locator(".code-head span").textContent(), "js");
    assert.equal(await answer.locator("pre").textContent(), "let a = 1;");
    assert.equal(
      await answer.locator(".figures").textContent(),
      "3 tokens · 251.4 tokens/s · prompt of 34 tokens, 20 cached",
    );
    await answer.locator(".copy").click();
    await answer.locator(".copy", { hasText: "Copied" }).waitFor();
    assert.equal(await tab.page.evaluate(() => navigator.clipboard.readText()), "let a = 1;");
  });

  fresh("text of the reader stays text", async () => {
    const text = "<img src=x onerror=alert(1)> **not bold** <script>alert(2)</script>";
    await tab.ask(text);
    assert.equal(await tab.page.locator(".bubble").textContent(), text);
    assert.equal(await tab.page.locator(".bubble *").count(), 0);
    assert.equal(await tab.page.locator("#title").textContent(), `${text.slice(0, 59).trimEnd()}…`);
    await tab.page.reload();
    assert.equal(await tab.page.locator(".bubble").textContent(), text);
  });

  fresh("Markdown that means harm does none", async () => {
    for (const [i, attack] of ATTACKS.entries()) {
      server.reply = (_, reply) => stream(reply, attack.match(/[\s\S]{1,9}/g) ?? []);
      await tab.ask(`attack ${i}`);
    }
    await assertHarmless(tab.page, ATTACKS.length);
    await tab.page.reload();
    await assertHarmless(tab.page, ATTACKS.length);
    const shown = await tab.page.locator("#messages").textContent();
    assert.ok(shown?.includes("<script>alert"), "HTML is shown as it was typed");
    const links = await tab.page
      .locator("#messages a[href]")
      .evaluateAll((all) => all.map((each) => each.getAttribute("href")));
    assert.deepEqual([...new Set(links)].sort(), [
      "http://remote.invalid/a",
      "https://remote.invalid/x.png",
      "mailto:a@b.c",
    ]);
  });

  fresh("files: exported, imported, refused", async () => {
    await tab.ask("First");
    const download = tab.page.waitForEvent("download");
    await tab.page.click("#export");
    const path = await (await download).path();
    const imported = async (file: string | { name: string; mimeType: string; buffer: Buffer }) => {
      const chooser = tab.page.waitForEvent("filechooser");
      await tab.page.click("#import");
      await (await chooser).setFiles(file);
    };
    await imported(path);
    await tab.page.locator("#notice", { hasText: "Imported: 0 of 1" }).waitFor();
    await imported(jsonFile(maliciousConversation()));
    await tab.page.locator("#notice", { hasText: "Imported: 1 of 1" }).waitFor();
    await tab.page.locator("#conversations a", { hasText: "<img" }).click();
    await assertHarmless(tab.page, 1);
    await imported(jsonFile({ format: "ternion-conversations", version: 1, conversations: [{ id: "<x>" }] }));
    await tab.page.locator("#notice", { hasText: "conversations[0].messages: expected a list" }).waitFor();
    assert.equal(await tab.page.locator("#conversations li").count(), 2);
  });

  fresh("errors say what to do", async () => {
    server.reply = (_, reply) => refuse(reply, 429, "8 requests wait already.", { "retry-after": "3" });
    await tab.ask("One");
    assert.equal(await tab.problem(), "The server is busy. 8 requests wait already. Try again in 3 s.");
    server.reply = (_, reply) => refuse(reply, 400, "max_tokens: expected at least 1, got 0.");
    await tab.tryAgain();
    assert.equal(await tab.problem(), "max_tokens: expected at least 1, got 0.");
    server.reply = (_, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      reply.raw.write(delta("Half an ans"));
      reply.raw.end('data: {"error":{"message":"The context is full."}}\n\n');
    };
    await tab.tryAgain();
    assert.equal(await tab.problem(), "The context is full.");
    assert.equal(await tab.answer().locator(".markdown").textContent(), "Half an ans\n");
    server.reply = (_, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      reply.raw.write(delta("Half"), () => reply.raw.destroy());
    };
    await tab.tryAgain();
    assert.equal(await tab.problem(), "The connection to the server was lost before the answer was complete.");
    server.reply = (_, reply) => refuse(reply, 429, "8 requests wait already.");
    await tab.ask("Two");
    await tab.ask("Three");
    const last = server.requests.at(-1)?.messages.at(-1);
    assert.equal(last?.role, "user");
    assert.match(last.content, /Two\n\nThree$/);
    await tab.page.route("**/v1/chat/completions", (route) => route.abort("connectionrefused"));
    await tab.tryAgain();
    assert.match(await tab.problem(), /^No server answers at 127\.0\.0\.1:\d+\. Is `ternion serve` still running\?$/);
    await tab.page.unroute("**/v1/chat/completions");
    server.reply = (_, reply) => stream(reply, ["At last."]);
    await tab.tryAgain();
    assert.equal(await tab.answer().locator(".siblings span").textContent(), "3 / 3");
    tab.complaints.length = 0; // the browser's own words for the refusals
  });

  fresh("a key that the server wants, kept for the session only", async () => {
    server.key = "secret";
    await tab.page.reload();
    await tab.page.fill("#key", "wrong");
    await tab.page.keyboard.press("Enter");
    await tab.page.locator("#key-problem", { hasText: "The server refuses this key." }).waitFor();
    await tab.page.fill("#key", "secret");
    await tab.page.keyboard.press("Enter");
    await tab.page.locator("#key-dialog").waitFor({ state: "hidden" });
    await tab.ask("Hello");
    assert.match((await tab.answer().locator(".markdown").textContent()) ?? "", /Hello/);
    assert.deepEqual(
      await tab.page.evaluate(() => Object.values(localStorage).filter((each) => each.includes("secret"))),
      [],
    );
    assert.ok(await tab.page.evaluate(() => Object.values(sessionStorage).includes("secret")));
    tab.complaints.length = 0;
  });

  fresh("models, sampling and system prompt reach the request; a wrong value does not", async () => {
    await tab.page.selectOption("#model", "two");
    await tab.page.keyboard.press("Control+,");
    const values = { temperature: "0.5", top_k: "7", top_p: "0.9", min_p: "0.1", max_tokens: "12", seed: "3" };
    for (const [name, value] of Object.entries(values)) await tab.page.fill(`#field-${name}`, value);
    await tab.page.fill("#field-top_p", "9");
    assert.equal(await tab.page.locator("#field-top_p").getAttribute("aria-invalid"), "true");
    await tab.page.fill("#system-prompt", "Be brief.");
    await tab.page.keyboard.press("Escape");
    await tab.ask("Hello");
    await tab.page.reload();
    await tab.ask("Again");
    const numbers = { temperature: 0.5, top_k: 7, top_p: 0.9, min_p: 0.1, max_tokens: 12, seed: 3 };
    for (const body of server.requests) {
      const { messages, ...others } = body;
      assert.deepEqual(others, { model: "two", stream: true, stream_options: { include_usage: true }, ...numbers });
      assert.deepEqual(messages[0], { role: "system", content: "Be brief." });
    }
    assert.deepEqual(
      server.requests[1].messages.map(({ content }) => content),
      ["Be brief.", "Hello", "Hello.", "Again"],
    );
  });

  fresh("a draft is kept, for each conversation", async () => {
    await tab.ask("First");
    await tab.page.fill("#draft", "half a thought");
    await tab.page.keyboard.press("Control+Shift+O");
    assert.equal(await tab.page.inputValue("#draft"), "");
    await tab.page.fill("#draft", "another");
    await tab.page.reload();
    assert.equal(await tab.page.inputValue("#draft"), "another");
    await tab.page.locator("#conversations a").click();
    await tab.page.waitForFunction(
      () => document.querySelector<HTMLTextAreaElement>("#draft")?.value === "half a thought",
    );
  });

  fresh("an answer goes on while another conversation is shown, and a closed tab ends it", async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    server.reply = (_, reply) =>
      stream(
        reply,
        (async function* () {
          yield "Begun";
          await gate;
          yield " and ended.";
        })(),
      );
    await tab.send("Slow one");
    await tab.page.locator(".assistant", { hasText: "Begun" }).waitFor();
    await tab.page.click("#new");
    server.reply = (_, reply) => stream(reply, ["Quick."]);
    await tab.ask("Quick one");
    go();
    await tab.page.locator("#conversations a", { hasText: "Slow one" }).click();
    await tab.page.locator(".assistant", { hasText: "Begun and ended." }).waitFor();

    let closed: Promise<unknown> | undefined;
    server.reply = (_, reply) => {
      closed = once(reply.raw, "close");
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      reply.raw.write(delta("For ever"));
    };
    await tab.send("Endless");
    await tab.page.locator(".assistant", { hasText: "For ever" }).waitFor();
    await tab.page.reload();
    await closed;
    await tab.page.locator(".note", { hasText: "Stopped." }).waitFor();
  });

  fresh("two tabs see each other's conversations", async () => {
    const other = await browser.tab(server.url);
    await tab.ask("From the first");
    await other.page.locator("#conversations a", { hasText: "From the first" }).click();
    await other.page.locator(".assistant", { hasText: "Hello." }).waitFor();
    await tab.page.locator("#conversations li").hover();
    await tab.page.locator('[aria-label^="Delete:"]').click();
    await tab.page.locator("dialog[open] .primary").click();
    await other.page.locator("#welcome").waitFor();
    await other.page.close();
  });

  fresh("by keyboard alone", async () => {
    const { keyboard } = tab.page;
    const focused = () =>
      tab.page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.id);
    assert.equal(await focused(), "draft");
    await keyboard.type("Hello");
    await keyboard.press("Shift+Enter");
    await keyboard.type("there");
    await keyboard.press("Enter");
    await tab.page.locator(".figures").waitFor();
    assert.equal(server.requests[0].messages[0].content, "Hello\nthere");
    assert.equal(await focused(), "draft");

    await keyboard.press("ArrowUp");
    assert.equal(await focused(), "Edit the message");
    await keyboard.press("Escape");
    assert.equal(await focused(), "Edit this message");
    await keyboard.press("Enter");
    await keyboard.press("Control+a");
    await keyboard.type("Other");
    await keyboard.press("Enter");
    await tab.page.locator(".user .siblings", { hasText: "2 / 2" }).waitFor();
    await tab.page.locator(".figures").waitFor();
    assert.equal(server.requests[1].messages[0].content, "Other");

    server.reply = (_, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      reply.raw.write(delta("For ever"));
    };
    await keyboard.type("Endless");
    await keyboard.press("Enter");
    await tab.page.locator(".assistant", { hasText: "For ever" }).waitFor();
    await keyboard.press("Escape");
    await tab.page.locator(".note", { hasText: "Stopped." }).waitFor();

    await keyboard.press("Control+/");
    await tab.page.locator("#shortcuts[open]").waitFor();
    await keyboard.press("Escape");
    await keyboard.press("Control+Shift+O");
    await tab.page.locator("#welcome").waitFor();

    await tab.page.locator("#skip").focus();
    const order: (string | undefined)[] = [];
    for (let i = 0; i < 16; i++) {
      await keyboard.press("Tab");
      order.push((await focused()) ?? undefined);
    }
    const [first, link, ...rest] = order;
    assert.equal(first, "new");
    assert.match(link ?? "", /^link-/);
    assert.deepEqual(
      rest.map((each) => each?.replace(/:.*/, "")),
      [
        ...["Rename", "Export", "Delete", "import", "export"],
        ...["Conversations", "Model", "Switch between light and dark", "Keyboard shortcuts", "Settings"],
        ...["", "", "", "draft"],
      ],
    );
    await tab.page.locator(`#${link}`).focus();
    await keyboard.press("Enter");
    await tab.page.locator(".user .siblings").waitFor();
  });
});

const ATTACKS = [
  "<script>alert(1)</script><img src=https://remote.invalid/x onerror=alert(1)>",
  "<style>@import url(https://remote.invalid/x)</style><link rel=stylesheet href=https://remote.invalid/x>",
  "<iframe src=https://remote.invalid/></iframe><object data=https://remote.invalid/></object><embed src=//remote.invalid>",
  '<form action=https://remote.invalid/><button>x</button></form><base href=https://remote.invalid/><meta http-equiv=refresh content="0;url=https://remote.invalid/">',
  "<svg><script>alert(1)</script></svg><math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "<details open ontoggle=alert(1)><video src=https://remote.invalid/x autoplay></video>",
  "![a](https://remote.invalid/x.png) ![b](javascript:alert(1)) ![c](data:text/html,<script>alert(1)</script>)",
  "[a](javascript:alert(1)) [b](&#106;avascript:alert(1)) [c](JaVaScRiPt:alert(1)) [d](vbscript:x) [e](data:text/html,x)",
  "[a](</v1/models>) [b](//remote.invalid/x) [c](java\tscript:alert(1)) <javascript:alert(1)>",
  '[a](http://remote.invalid/a "x\\" onmouseover=alert(1) \\"") <a@b.c>',
  "[a][r]\n\n[r]: javascript:alert(1) 'x'",
  '```"><img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```',
  "`<img src=x onerror=alert(1)>` **<b onclick=alert(1)>x</b>** ~~<u>~~",
  "| <img src=x onerror=alert(1)> | b |\n|---|:---:|\n| <br onload=alert(1)> | <br> |",
  '<div id="draft" class="skip" style="position:fixed;inset:0">covers</div>',
  `${"> ".repeat(300)}deep\n\n${"- ".repeat(200)}deep`,
];

async function assertHarmless(page: Page, answers: number): Promise<void> {
  await page.waitForFunction((count) => document.querySelectorAll(".assistant .foot .bar").length === count, answers);
  const found = await page.evaluate(() => {
    const tags = [...document.querySelectorAll("#messages .markdown *")].map(({ tagName }) => tagName.toLowerCase());
    const handlers = [...document.querySelectorAll("*")].flatMap(({ attributes }) =>
      [...attributes].map(({ name }) => name).filter((name) => name.startsWith("on") || name === "style"),
    );
    const links = [...document.querySelectorAll<HTMLAnchorElement>("#messages a[href]")].filter(
      ({ protocol, rel, target }) =>
        !["http:", "https:", "mailto:"].includes(protocol) || !rel.includes("noopener") || target !== "_blank",
    );
    return { tags: [...new Set(tags)], handlers: handlers.filter((name) => name !== "style"), links: links.length };
  });
  const allowed =
    /^(a|blockquote|br|button|code|del|div|em|h[3-6]|hr|li|ol|p|pre|span|strong|table|tbody|td|th|thead|tr|ul)$/;
  assert.deepEqual(
    found.tags.filter((tag) => !allowed.test(tag)),
    [],
  );
  assert.deepEqual([found.handlers, found.links], [[], 0]);
}

const jsonFile = (content: object) => ({
  name: "conversations.json",
  mimeType: "application/json",
  buffer: Buffer.from(JSON.stringify(content)),
});

function maliciousConversation(): object {
  const at = { createdAt: 1, end: "complete" };
  const messages = [
    { ...at, id: "a", role: "user", text: "<img src=x onerror=alert(1)>" },
    {
      ...at,
      id: "b",
      parent: "a",
      role: "assistant",
      end: "failed",
      text: ATTACKS.join("\n\n"),
      model: "<img src=x onerror=alert(1)>",
      problem: "<script>alert(1)</script>",
    },
  ];
  const conversation = { id: "forged", title: "<img src=x onerror=alert(1)>", createdAt: 1, updatedAt: 1, messages };
  return { format: "ternion-conversations", version: 1, conversations: [conversation] };
}
