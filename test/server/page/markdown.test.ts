/**
 * Markdown as it is written: in Chromium, with the shipped modules. However the text comes, what is shown at the end is what
 * the whole text gives; and a long answer costs a time in proportion to its length.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BROWSER_PATIENCE, withoutChromium } from "../../chromium.js";
import { Random } from "../../random.js";
import { CannedServer } from "./canned.js";
import { type ChatTab, PageBrowser } from "./tab.js";

type Streamed = typeof import("../../../src/server/page/browser/streamed-markdown.js");
type Markdown = typeof import("../../../src/server/page/browser/markdown.js");

const BLOCKS = [
  "A paragraph with **bold**, *em*, `code`, ~~gone~~ and <b>tags</b>.",
  "Two lines\nof one paragraph",
  "# Heading\n",
  "Setext\n===",
  "#no heading",
  "para\n#1 still para",
  "- one\n- two\n  - three\n\n    loose\n- four",
  "1. one\n2. two\n\n   more of two",
  "3) three\n* other\n+ third",
  "- [ ] open\n- [x] done",
  "> quote\nlazy\n> - list\n>\n> ```\n> code\n> ```",
  "```js\nlet a = `x`;\n\n// ~~~\n```",
  "~~~\ntilde\n```\n~~~~",
  "   ```\n   indented fence\n   ```",
  "- item\n  ```py\n  x\n  ```",
  "    indented\n\n    code",
  "| a | b |\n|:--|--:|\n| 1 | `x\\|y` |\n| 2 | 3 |",
  "no | table\nat | all",
  "***",
  "--\n---",
  "<div>\nhtml\n</div>",
  "<!-- comment\n\nof two parts -->",
  "[a link](https://example.com 'title') and <https://example.org> and https://bare.example",
  "![image](https://example.com/x.png)",
  "a  \nhard\\\nbreaks",
  "\\*escaped\\* &amp; &copy; &#35;",
];
const DEFINED = ["[text][ref] and [ref]", "[ref]: https://example.com 'title'"];

/** A text and the pieces that it comes in. */
function written(random: Random, blocks: readonly string[]): string[] {
  const end = ["\n", "\n\n", "\r\n\r\n", "\n\n\n"];
  const chosen = Array.from({ length: random.integer(1, 7) }, () => {
    return blocks[random.integer(0, blocks.length - 1)] + end[random.integer(0, end.length - 1)];
  });
  const text = chosen.join("").slice(0, random.integer(20, 600));
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += pieces[pieces.length - 1].length) {
    pieces.push(text.slice(at, at + random.integer(1, 9)));
  }
  return pieces;
}

describe("streamed Markdown", { skip: withoutChromium, timeout: 2 * BROWSER_PATIENCE }, () => {
  let browser: PageBrowser;
  let server: CannedServer;
  let tab: ChatTab;

  before(async () => {
    server = await CannedServer.start();
    browser = await PageBrowser.open();
    tab = await browser.tab(server.url);
  });
  after(async () => {
    await browser.close();
    await server.close();
  });

  test("is at its end what the whole text gives", async () => {
    const random = new Random(15);
    const texts = Array.from({ length: 100 }, (_, i) =>
      written(random, i % 5 === 0 ? [...BLOCKS, ...DEFINED] : BLOCKS),
    );
    const different = await tab.page.evaluate(async (texts) => {
      const at = (name: string) => new URL(`page/${name}.js`, location.href).href;
      const { StreamedMarkdown } = (await import(at("streamed-markdown"))) as Streamed;
      const { blocksOf, render } = (await import(at("markdown"))) as Markdown;
      return texts.flatMap((pieces) => {
        const streamed = new StreamedMarkdown();
        for (const piece of pieces) {
          streamed.append(piece);
          streamed.draw();
        }
        streamed.finish();
        const whole = document.createElement("div");
        whole.append(render(blocksOf(pieces.join("").replaceAll("\r\n", "\n"))));
        const [got, expected] = [streamed.element, whole].map(({ innerHTML }) => innerHTML.replace(/\n/g, ""));
        return got === expected ? [] : [{ text: pieces.join("|"), got, expected }];
      });
    }, texts);
    assert.deepEqual(different.slice(0, 3), []);
  });

  test("what is too long or too deep to be read as Markdown is shown as text", async () => {
    const texts = [" ".repeat(150_000), ">".repeat(20_000), "a *b* ".repeat(30_000)].map((text) => `|${text}|`);
    const shown = await tab.page.evaluate(async (texts) => {
      const { StreamedMarkdown } = (await import(new URL("page/streamed-markdown.js", location.href).href)) as Streamed;
      return texts.map((text) => {
        const streamed = new StreamedMarkdown();
        streamed.fill(text);
        streamed.finish();
        return [streamed.element.firstElementChild?.tagName, streamed.element.textContent?.trimEnd().length];
      });
    }, texts);
    for (const [i, [, length]] of shown.entries())
      assert.ok(Math.abs(Number(length) - texts[i].length) < 10, `${length}`);
  });

  test("an answer of 20,000 tokens costs as much at its end as at its beginning", async (context) => {
    const quarters = await tab.page.evaluate(rendered, longAnswer(20_000));
    for (const [i, quarter] of quarters.entries()) context.diagnostic(`quarter ${i + 1}: ${JSON.stringify(quarter)}`);
    const [first, , , last] = quarters;
    // rendering everything again would make thousands for each that is kept, and seven times as many in the last quarter
    for (const { made, kept } of quarters) assert.ok(kept > 500 && made < 10 * kept, `${made} made, ${kept} kept`);
    assert.ok(last.made < 1.2 * first.made, `${first.made}, then ${last.made}`);
  });
});

interface Quarter {
  /** milliseconds of a draw with its layout: the middle one, and nine of ten */
  readonly median: number;
  readonly most: number;
  /** elements that were put in, and those of them that are there at the end */
  readonly made: number;
  readonly kept: number;
}

/** In the page: the answer with a draw each 16 tokens, as at 1,000 tokens/s; layout and following the end are counted too. */
async function rendered(pieces: string[]): Promise<Quarter[]> {
  const { StreamedMarkdown } = (await import(new URL("page/streamed-markdown.js", location.href).href)) as Streamed;
  const thread = document.querySelector("#thread") as HTMLElement;
  const streamed = new StreamedMarkdown(() => {
    thread.scrollTop = thread.scrollHeight;
  });
  document.querySelector("#messages")?.append(streamed.element);
  const watcher = new MutationObserver(() => undefined);
  watcher.observe(streamed.element, { childList: true });
  const elements = () => streamed.element.querySelectorAll("*").length;
  const size = pieces.length / 4; // of a quarter
  return [0, 1, 2, 3].map((quarter) => {
    const before = elements();
    const times: number[] = [];
    let made = 0;
    for (let at = quarter * size; at < (quarter + 1) * size; at += 16) {
      const start = performance.now();
      for (const piece of pieces.slice(at, at + 16)) streamed.append(piece);
      streamed.draw();
      times.push(performance.now() - start);
      for (const { addedNodes } of watcher.takeRecords()) {
        for (const node of addedNodes) if (node instanceof Element) made += 1 + node.querySelectorAll("*").length;
      }
    }
    times.sort((a, b) => a - b);
    const [median, most] = [0.5, 0.9].map((part) => Number(times[Math.floor(part * times.length)].toFixed(1)));
    return { median, most, made, kept: elements() - before };
  });
}

/** Pieces of about four characters, as of a model that explains and writes code. */
function longAnswer(tokens: number): string[] {
  const section = (i: number) =>
    [
      `## Part ${i}\n\n`,
      `The quick brown fox jumps over the lazy dog, and **this** part says it in \`${i}\` words. `.repeat(4),
      `\n\n${"- an item of a list with *some* words in it\n".repeat(6)}\n`,
      `\`\`\`python\n${`def part_${i}(value):\n    return value * ${i}  # a comment\n\n`.repeat(8)}\`\`\`\n\n`,
      `| name | value |\n|---|---|\n${`| part ${i} | ${i * i} |\n`.repeat(5)}\n`,
    ].join("");
  const text = Array.from({ length: 90 }, (_, i) => section(i)).join("");
  return text.match(/[\s\S]{1,4}/g)?.slice(0, tokens) ?? [];
}
