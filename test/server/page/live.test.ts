/** The chat page in Chromium over the real server and the model in the box: what a reader does from a first question on. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RunningServer } from "../../../src/server/index.js";
import { BROWSER_PATIENCE, withoutChromium } from "../../chromium.js";
import { boxServer, MODEL } from "../servers.js";
import { type ChatTab, PageBrowser } from "./tab.js";

const STORY = "Tell me a long story about a dog named Rex.";

describe("the chat page over the model in the box", { skip: withoutChromium, timeout: 2 * BROWSER_PATIENCE }, () => {
  let server: RunningServer;
  let browser: PageBrowser;
  let tab: ChatTab;

  before(async () => {
    server = await boxServer({ apiKeys: ["secret"] });
    browser = await PageBrowser.open();
    tab = await browser.tab(`${server.url}/`, { key: "secret" });
    await set({ temperature: "0" });
  });
  after(async () => {
    await browser.close();
    await server.close();
  });

  async function set(values: Record<string, string>): Promise<void> {
    await tab.page.click("#settings-button");
    await tab.page.click("#sampling-reset");
    for (const [name, value] of Object.entries(values)) await tab.page.fill(`#field-${name}`, value);
    await tab.page.keyboard.press("Escape");
  }

  const text = async () => (await tab.answer().locator(".markdown").textContent())?.trim();

  test("a question and its answer, with the server's figures", async () => {
    assert.equal(await tab.page.inputValue("#model"), MODEL);
    await tab.ask("What is the capital of France?");
    assert.equal(await text(), "The capital of France is Paris.");
    assert.match(
      (await tab.answer().locator(".figures").textContent()) ?? "",
      /^\d+ tokens · [\d.]+ tokens\/s · prompt of \d+ tokens/,
    );
  });

  test("an edited question is a branch beside the first, whose answer is kept", async () => {
    await tab.page.locator(".user").hover();
    await tab.page.click('[aria-label="Edit this message"]');
    await tab.page.fill(".edit-area", "What is the capital of Italy?");
    await tab.page.keyboard.press("Enter");
    await tab.ended();
    assert.match((await text()) ?? "", /Rome/);
    await tab.page.locator('.user [aria-label="Version before"]').click();
    await tab.page.locator(".assistant", { hasText: "Paris" }).waitFor();
    assert.match((await tab.page.locator(".user .siblings").textContent()) ?? "", /1 \/ 2/);
  });

  test("another try is an answer beside the first; settings reach the server", async () => {
    await set({ temperature: "0", max_tokens: "3" });
    await tab.page.click('[aria-label="Another try"]');
    await tab.answer().locator(".note", { hasText: "Ended at the limit of tokens." }).waitFor();
    assert.match((await tab.answer().locator(".figures").textContent()) ?? "", /^3 tokens/);
    assert.match((await tab.answer().locator(".siblings").textContent()) ?? "", /2 \/ 2/);
  });

  test("a reload keeps conversations, branches and figures", async () => {
    await tab.page.reload();
    await tab.answer().locator(".figures", { hasText: "3 tokens" }).waitFor();
    await tab.page.click('.assistant [aria-label="Version before"]');
    await tab.page.locator(".assistant", { hasText: "The capital of France is Paris." }).waitFor();
    assert.deepEqual(await tab.page.locator("#conversations .row-link").allTextContents(), [
      "What is the capital of France?",
    ]);
  });

  test("stop ends the answer here and on the server, and what there is of it stays", async () => {
    await set({ temperature: "0.8", seed: "1" });
    await tab.page.click("#new");
    await tab.send(STORY);
    await tab.page.waitForFunction(
      () => (document.querySelector(".assistant .markdown")?.textContent ?? "").length > 20,
    );
    await tab.page.keyboard.press("Escape");
    await tab.answer().locator(".note", { hasText: "Stopped." }).waitFor();
    const begun = await text();
    while (server.service.models.all.some(({ queue }) => queue.running > 0))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await tab.page.reload();
    await tab.answer().locator(".note", { hasText: "Stopped." }).waitFor();
    assert.equal(await text(), begun);
  });

  test("the same seed gives the same answer", async () => {
    await set({ temperature: "0.8", seed: "7", max_tokens: "30" });
    await tab.page.click("#new");
    await tab.ask(STORY);
    const first = await text();
    await tab.page.click('[aria-label="Another try"]');
    await tab.answer().locator(".siblings", { hasText: "2 / 2" }).waitFor();
    assert.equal(await text(), first);
  });

  test("nothing was complained of, asked for elsewhere, or refused by the policy", () => tab.assertQuiet());

  test("the page needs no key, the API does; without the page there is none", async () => {
    assert.equal((await fetch(`${server.url}/`)).status, 200);
    assert.equal((await fetch(`${server.url}/v1/models`)).status, 401);
    await using bare = await boxServer({ page: false });
    for (const path of ["/", "/page/main.js"]) assert.equal((await fetch(bare.url + path)).status, 404, path);
  });
});
