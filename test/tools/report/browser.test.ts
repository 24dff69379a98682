/** The page in Chromium, opened from a file with no network: charts and texts are there, nothing asked for anything. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { renderHtml } from "../../../src/tools/report/html.js";
import { BROWSER_PATIENCE, openChromium, withoutChromium } from "../../chromium.js";
import { someData } from "./data.js";

test("the page renders from a file without network", {
  skip: withoutChromium,
  timeout: 2 * BROWSER_PATIENCE,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "ternion-page-"));
  const page = join(folder, "report.html");
  await writeFile(page, await renderHtml(someData({ prompt: "<img src=x onerror=alert(1)>" })));
  const { context, close } = await openChromium({ offline: true });
  try {
    const tab = await context.newPage();
    const requests: string[] = [];
    const complaints: string[] = [];
    tab.on("request", (request) => requests.push(request.url()));
    tab.on("console", (message) => complaints.push(message.text()));
    tab.on("pageerror", (error) => complaints.push(error.message));
    const { href } = pathToFileURL(page);
    await tab.goto(href, { timeout: BROWSER_PATIENCE, waitUntil: "load" });

    assert.equal(await tab.title(), "Report of some.gguf");
    for (const chart of ["load", "promptSpeed", "generationSpeed", "ops", "traffic"]) {
      const box = await tab.locator(`figure#${chart} svg`).boundingBox();
      assert.ok(box !== null && box.width > 400 && box.height > 100, `${chart}: ${JSON.stringify(box)}`);
      assert.ok((await tab.locator(`figure#${chart} svg path`).count()) > 3, chart);
    }
    const text = (await tab.locator("body").textContent()) ?? "";
    for (const part of ["Verify: passed", "12.5 tokens/s", "The capital of France is Paris.", "<img src=x onerror="]) {
      assert.ok(text.includes(part), part);
    }
    assert.equal(await tab.locator("script, img").count(), 0);
    assert.deepEqual(requests, [href]);
    assert.deepEqual(complaints, []);
  } finally {
    await close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
