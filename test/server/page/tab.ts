/** A tab with the chat page: what its tests do again and again, and what none of them may cause. */
import assert from "node:assert/strict";
import type { BrowserContextOptions, Locator, Page } from "playwright-core";
import { openChromium } from "../../chromium.js";

export class PageBrowser {
  readonly #opened: Awaited<ReturnType<typeof openChromium>>;

  private constructor(opened: Awaited<ReturnType<typeof openChromium>>) {
    this.#opened = opened;
  }

  static async open(options: BrowserContextOptions = {}): Promise<PageBrowser> {
    const opened = await openChromium({ permissions: ["clipboard-read", "clipboard-write"], ...options });
    return new PageBrowser(opened);
  }

  /** Where the server wants a key, the tab has it from the start. */
  async tab(url: string, { key = "" } = {}): Promise<ChatTab> {
    return ChatTab.open(await this.#opened.context.newPage(), url, key);
  }

  close(): Promise<void> {
    return this.#opened.close();
  }
}

export class ChatTab {
  readonly page: Page;
  readonly #origin: string;
  /** words on the console, errors, dialogs */
  readonly complaints: string[] = [];
  /** addresses outside the server, and what the policy refused */
  readonly escapes: string[] = [];

  private constructor(page: Page, url: string) {
    this.page = page;
    this.#origin = new URL(url).origin;
  }

  static async open(page: Page, url: string, key: string): Promise<ChatTab> {
    const tab = new ChatTab(page, url);
    await tab.#watch();
    if (key !== "") await page.addInitScript((value) => sessionStorage.setItem("ternion.key", value), key);
    await page.goto(url);
    await page.waitForFunction(() => document.querySelector<HTMLSelectElement>("#model")?.value !== "");
    return tab;
  }

  async #watch(): Promise<void> {
    const { page, complaints, escapes } = this;
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${this.#origin}/`) && !request.url().startsWith(`blob:${this.#origin}/`)) {
        escapes.push(request.url());
      }
    });
    await page.exposeFunction("policyRefused", (words: string) => escapes.push(words));
    await page.addInitScript(() => {
      const { policyRefused } = window as unknown as { policyRefused(words: string): void };
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        policyRefused(`${violatedDirective} ${blockedURI}`),
      );
    });
  }

  /** Nothing was said, asked for elsewhere, or refused by the policy. */
  assertQuiet(): void {
    assert.deepEqual([this.complaints, this.escapes], [[], []]);
  }

  async send(text: string): Promise<void> {
    await this.page.fill("#draft", text);
    await this.page.press("#draft", "Enter");
  }

  /** Sends, and waits for the end of the answer. */
  async ask(text: string): Promise<void> {
    await this.send(text);
    await this.ended();
  }

  async ended(): Promise<void> {
    await this.page.locator("#send").waitFor();
    await this.answer().locator(".foot .bar").waitFor();
  }

  answer(): Locator {
    return this.page.locator(".assistant").last();
  }

  async problem(): Promise<string> {
    return (await this.answer().locator(".problem p").textContent()) ?? "";
  }

  async tryAgain(): Promise<void> {
    await this.answer().locator(".problem button").click();
    await this.ended();
  }
}
