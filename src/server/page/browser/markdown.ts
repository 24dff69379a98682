/**
 * Markdown of a model → elements that can do no harm. HTML in it is shown as it was typed; of what `marked` makes only the tags
 * and attributes named here are left; links go to http, https and mailto; an image is a link to it, never loaded.
 */
import { type CodeBlock, codeBlock } from "./code-block.js";
import { element } from "./dom.js";
import purify from "./dompurify.js";
import { Marked, type Token, type TokensList } from "./marked.js";

type RenderConfig = Parameters<typeof purify.sanitize>[1] & { RETURN_DOM_FRAGMENT: true };

const TAGS = [
  "a",
  "blockquote",
  "br",
  "code",
  "del",
  "em",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
  "li",
  "ol",
  "p",
  "pre",
  "strong",
];
const TABLE_TAGS = ["table", "thead", "tbody", "tr", "th", "td", "ul"];
const SAFE: RenderConfig = {
  ALLOWED_TAGS: [...TAGS, ...TABLE_TAGS],
  ALLOWED_ATTR: ["href", "title", "start", "align", "class"],
  ADD_URI_SAFE_ATTR: ["start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => (/^<br\s*\/?>$/i.test(text) ? "<br>" : escaped(text)),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    // small models write code without a fence: its lines keep their indentation, and the style sheet shows it
    br: ({ raw }) => `<br>${raw.replace(/^[^\n]*\n/, "")}`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    // the page and each message have a heading of their own above these
    heading({ tokens, depth }) {
      const tag = `h${Math.min(depth + 2, 6)}`;
      return `<${tag}>${this.parser.parseInline(tokens)}</${tag}>\n`;
    },
  },
});

purify.addHook("uponSanitizeAttribute", (node, data) => {
  // the language of a code block is the one class that Markdown has
  if (data.attrName === "class") data.keepAttr = node.nodeName === "CODE" && data.attrValue.startsWith("language-");
});
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A" || !node.hasAttribute("href")) return;
  node.setAttribute("rel", "noopener noreferrer nofollow");
  node.setAttribute("target", "_blank");
});

/** most characters of a text that is read as Markdown */
export const LONGEST = 100_000;
/** 20,000 of them take `marked` 0.6 s, and twice as many four times as long */
const BLANKS = / {2000}/;

/** The blocks of a text, whose `raw` parts are the text. What is too long or nested too deep is one paragraph. */
export function blocksOf(text: string): TokensList {
  try {
    if (text.length <= LONGEST && !BLANKS.test(text)) return markdown.lexer(text);
  } catch {
    // nested some thousand times
  }
  const words = { type: "text", raw: text, text, escaped: false };
  return Object.assign([{ type: "paragraph", raw: text, text, tokens: [words] }], { links: {} });
}

export function render(blocks: Token[]): DocumentFragment {
  const fragment = purify.sanitize(htmlOf(blocks), SAFE);
  for (const code of fragment.querySelectorAll("pre > code")) replaceCode(code);
  for (const table of fragment.querySelectorAll("table")) {
    const frame = element("div", { class: "scroll", role: "region", "aria-label": "Table", tabindex: "0" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

function htmlOf(blocks: Token[]): string {
  try {
    return markdown.parser(blocks);
  } catch {
    return `<p>${escaped(blocks.map(({ raw }) => raw).join(""))}</p>`;
  }
}

function replaceCode(code: Element): void {
  const language = code.className.replace(/^language-/, "");
  const block: CodeBlock = codeBlock(language, (code.textContent ?? "").replace(/\n$/, ""));
  code.parentElement?.replaceWith(block.element);
}
