/**
 * The chat page for those who do not see it, see little, or use a phone, in light and dark: names, roles, contrast, sizes,
 * what is read out, and that nothing is wider than the screen.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BROWSER_PATIENCE, withoutChromium } from "../../chromium.js";
import { CannedServer, refuse, stream } from "./canned.js";
import { type ChatTab, PageBrowser } from "./tab.js";

const MARKDOWN = `Text with **bold**, \`code\` and a [link](https://example.com).

## Heading

- item

> quote

| a | b |
|---|---|
| 1 | 2 |

\`\`\`js
${"a line that is far too long for any phone; ".repeat(4)}
\`\`\`
`;

describe("the chat page is accessible", { skip: withoutChromium, timeout: 2 * BROWSER_PATIENCE }, () => {
  let browser: PageBrowser;
  let server: CannedServer;
  let tab: ChatTab;

  before(async () => {
    server = await CannedServer.start();
    browser = await PageBrowser.open();
    tab = await browser.tab(server.url);
    server.reply = (_, reply) => stream(reply, MARKDOWN.match(/[\s\S]{1,4}/g) ?? []);
    await tab.page.evaluate(recordStatus);
    await tab.ask("Show all");
  });
  after(async () => {
    await browser.close();
    await server.close();
  });

  test("an answer is read out once, at its end", async () => {
    const said = await tab.page.evaluate(() => (window as unknown as { said: string[] }).said);
    assert.equal(said.length, 2, said.join(" | "));
    assert.equal(said[0], "Answering.");
    assert.match(said[1], /^Answer: Text with/);
    const live = await tab.page.evaluate(() => {
      const regions = document.querySelectorAll("[aria-live], [role=status], [role=log], [role=alert]");
      return [...regions].map(({ id, textContent }) => [id, textContent === ""]);
    });
    assert.deepEqual(live, [
      ["status", false],
      ["key-problem", true],
    ]);
  });

  test("everything that can be used has a name, an id is there once, headings and landmarks are in order", async () => {
    await tab.page.click('[aria-label="Edit this message"]');
    await tab.page.click("#settings-button");
    assert.deepEqual(await tab.page.evaluate(nameless), []);
    const outline = await tab.page.evaluate(() => {
      const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
      const headings = [...document.querySelectorAll(".page :is(h1, h2, h3, h4)")].filter((each) =>
        each.checkVisibility(),
      );
      return {
        twice: ids.filter((id, i) => ids.indexOf(id) !== i),
        headings: headings.map(({ tagName }) => tagName),
        landmarks: ["main", "nav", "header", "footer"].map((tag) => document.querySelectorAll(`body ${tag}`).length),
        language: document.documentElement.lang,
        busy: document.querySelector(".assistant")?.getAttribute("aria-busy"),
      };
    });
    const headings = ["H1", "H2", "H2", "H4"];
    assert.deepEqual(outline, { twice: [], headings, landmarks: [1, 1, 1, 1], language: "en", busy: "false" });
    await tab.page.keyboard.press("Escape");
    await tab.page.click(".edit .plain");
  });

  for (const theme of ["light", "dark"] as const) {
    test(`${theme}: text has a contrast of 4.5, an outline one of 3`, async () => {
      await tab.page.emulateMedia({ colorScheme: theme });
      server.reply = (_, reply) => refuse(reply, 429, "8 requests wait already.");
      await tab.ask("Again");
      assert.deepEqual(await tab.page.evaluate(poorContrast), []);
      for (const [id, open] of [
        ["settings", "#settings-button"],
        ["shortcuts", "#shortcuts-button"],
      ]) {
        await tab.page.click(open);
        if (id === "settings") await tab.page.fill("#field-top_p", "9");
        assert.deepEqual(await tab.page.evaluate(poorContrast), [], id);
        await tab.page.keyboard.press("Escape");
      }
      await tab.page.click("#new");
      assert.deepEqual(await tab.page.evaluate(poorContrast), [], "new");
      await tab.page.click("#conversations .row-link");
    });
  }

  test("the theme follows the system until it is chosen, and the choice stays", async () => {
    const dark = () => tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor === "rgb(23, 24, 28)");
    await tab.page.emulateMedia({ colorScheme: "dark" });
    assert.ok(await dark());
    await tab.page.click("#theme-toggle");
    assert.ok(!(await dark()));
    await tab.page.reload();
    assert.ok(!(await dark()));
    await tab.page.click("#settings-button");
    await tab.page.selectOption("#theme", "system");
    await tab.page.keyboard.press("Escape");
    assert.ok(await dark());
  });

  test("on a phone nothing is wider than the screen, targets are large, the list is a drawer", async () => {
    await tab.page.setViewportSize({ width: 360, height: 640 });
    const wide = await tab.page.evaluate(() => {
      const inside = (each: Element) => each.closest("pre, .scroll, .visually-hidden, .skip, #sidebar, svg") === null;
      return [...document.querySelectorAll("body *")]
        .filter(
          (each) => inside(each) && each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 0.5,
        )
        .map(({ outerHTML }) => outerHTML.slice(0, 80));
    });
    assert.deepEqual(wide, []);
    const small = () =>
      tab.page.evaluate(() =>
        [...document.querySelectorAll<HTMLElement>("button, select, textarea, .row-link")]
          .filter((each) => each.checkVisibility() && each.offsetWidth > 0 && !each.closest("[inert]"))
          .filter(({ offsetWidth, offsetHeight }) => offsetWidth < 24 || offsetHeight < 24)
          .map(({ outerHTML }) => outerHTML.slice(0, 80)),
      );
    assert.deepEqual(await small(), []);
    await tab.page.locator("#sidebar").waitFor({ state: "hidden" });
    await tab.page.click("#sidebar-toggle");
    assert.equal(await tab.page.getAttribute("#sidebar-toggle", "aria-expanded"), "true");
    assert.deepEqual(await small(), []);
    await tab.page.keyboard.press("Escape");
    await tab.page.locator("#sidebar").waitFor({ state: "hidden" });
    assert.equal(await tab.page.evaluate(() => document.activeElement?.id), "sidebar-toggle");
  });
});

/** In the page: collects what a screen reader is given to say. */
function recordStatus(): void {
  const said: string[] = [];
  const status = document.querySelector("#status") as HTMLElement;
  new MutationObserver(() => said.push(status.textContent ?? "")).observe(status, { childList: true });
  Object.assign(window, { said });
}

/** In the page: controls and regions without a name, and images without a text. */
function nameless(): string[] {
  const labelled = (each: Element): string | null | undefined =>
    each
      .getAttribute("aria-labelledby")
      ?.split(" ")
      .map((id) => document.getElementById(id)?.textContent)
      .join("");
  const named = (each: Element): boolean => {
    const labels = (each as HTMLInputElement).labels;
    const own = each.matches("button, a") ? each.textContent : labels?.[0]?.textContent;
    return (each.getAttribute("aria-label") ?? labelled(each) ?? own ?? "").trim() !== "";
  };
  const controls = [
    ...document.querySelectorAll(
      "button, a[href], input, select, textarea, dialog, nav, main, article, [role]:not([role=status], [role=alert])",
    ),
  ];
  const images = [...document.querySelectorAll("img")].filter((each) => !each.hasAttribute("alt"));
  return [...controls.filter((each) => !named(each)), ...images].map(({ outerHTML }) => outerHTML.slice(0, 100));
}

/** In the page: texts and outlines of controls that stand out too little from what is behind them (WCAG 2.2, AA). */
function poorContrast(): string[] {
  type Colour = readonly [number, number, number, number];
  const parsed = (text: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [red, green, blue, alpha];
  };
  const over = (top: Colour, ground: Colour): Colour => {
    const mix = (i: 0 | 1 | 2) => top[i] * top[3] + ground[i] * (1 - top[3]);
    return [mix(0), mix(1), mix(2), 1];
  };
  const groundOf = (element: Element | null): Colour => {
    if (element === null) return [255, 255, 255, 1];
    const own = parsed(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, groundOf(element.parentElement));
  };
  const light = ([red, green, blue]: Colour): number => {
    const linear = (value: number) => (value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const contrast = (colour: Colour, ground: Colour): number => {
    const [a, b] = [light(over(colour, ground)), light(ground)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const found: string[] = [];
  const check = (element: Element, colour: string, ground: Element | null, least: number): void => {
    const ratio = contrast(parsed(colour), groundOf(ground));
    if (ratio < least) found.push(`${ratio.toFixed(2)} < ${least}: ${element.outerHTML.slice(0, 90)}`);
  };
  const scope = document.querySelector("dialog[open]") ?? document.body;
  for (const element of scope.querySelectorAll<HTMLElement>("*")) {
    if (!element.checkVisibility({ opacityProperty: true }) || element.matches(":disabled, :disabled *, option"))
      continue;
    const style = getComputedStyle(element);
    const hasText = [...element.childNodes].some((node) => node instanceof Text && node.data.trim() !== "");
    if (hasText || element.matches("input, select, textarea")) check(element, style.color, element, 4.5);
    if (element.matches("[placeholder]"))
      check(element, getComputedStyle(element, "::placeholder").color, element, 4.5);
    if (element.matches("button .icon")) check(element, style.color, element, 3);
    if (element.matches(".dialog input, .dialog textarea, .dialog select, #composer")) {
      check(element, style.borderTopColor, element.parentElement, 3);
    }
  }
  return found;
}
