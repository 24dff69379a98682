/**
 * Markdown that is being written. Once a frame at most, and only its end is rendered again:
 *
 * 1. A block that another block follows is settled: its elements stay, its text is never looked at again. The block before a
 *    last one whose first line is incomplete is not settled, because that line may yet belong to it ("#" may become "#1").
 * 2. Code in an open fence is appended to one text node.
 * 3. What is left is one block. Where that is long (a list of a thousand items), rendering takes a fifth of the time at most:
 *    the next one waits four times as long as the last one took.
 *
 * A link by reference finds definitions of its own block only, so a text with any is rendered as a whole at its end.
 */
import { codeBlock } from "./code-block.js";
import { element } from "./dom.js";
import { blocksOf, LONGEST, render } from "./markdown.js";
import type { Token } from "./marked.js";

/** characters */
const PART = 20_000;
/** of the time that goes by, 1 / (1 + this) is for rendering */
const REST = 4;

interface OpenFence {
  readonly closing: RegExp;
  readonly text: Text;
  /** the text ends within a line, so that what comes next cannot close the fence before a line's end */
  midLine: boolean;
}

export class StreamedMarkdown {
  readonly element = element("div", { class: "markdown" });
  #text = "";
  /** not settled */
  #tail = "";
  /** a carriage return at the end, which may be half of a line's end */
  #carry = "";
  #tailNodes: readonly ChildNode[] = [];
  #fence: OpenFence | undefined;
  #hasDefinitions = false;
  #scheduled = false;
  /** milliseconds of `performance.now()`; no rendering before it */
  #notBefore = 0;

  constructor(readonly drawn: () => void = () => undefined) {}

  append(delta: string): void {
    const whole = this.#carry + delta;
    this.#carry = whole.endsWith("\r") ? "\r" : "";
    this.#take(whole.slice(0, whole.length - this.#carry.length));
    this.#schedule();
  }

  /** A text that is whole already, in parts, so that its length does not count but that of its blocks. */
  fill(text: string): void {
    for (let at = 0; at < text.length; at += PART) {
      this.append(text.slice(at, at + PART));
      this.draw();
    }
  }

  /** All there is, at once; after the last `append`. */
  finish(): void {
    this.#take(this.#carry);
    this.draw();
    if (this.#fence !== undefined) endFence(this.#fence, this.#tail);
    if (this.#hasDefinitions && this.#text.length <= LONGEST)
      this.element.replaceChildren(render(blocksOf(this.#text)));
    this.drawn();
  }

  #take(text: string): void {
    const unix = text.replace(/\r\n?/g, "\n");
    this.#text += unix;
    this.#tail += unix;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const frame = (now: number): void => {
      if (now < this.#notBefore) {
        requestAnimationFrame(frame);
        return;
      }
      this.#scheduled = false;
      this.draw();
    };
    requestAnimationFrame(frame);
  }

  /** Shows what there is; an append asks for it by itself, for the next frame. */
  draw(): void {
    const start = performance.now();
    if (this.#fence !== undefined) this.#drawFence(this.#fence);
    if (this.#fence === undefined) this.#drawBlocks();
    const end = performance.now();
    this.#notBefore = end + REST * (end - start);
    this.drawn();
  }

  #drawBlocks(): void {
    const blocks = blocksOf(this.#tail);
    this.#hasDefinitions ||= Object.keys(blocks.links).length > 0;
    const settled = settledCount(blocks);
    for (const node of this.#tailNodes) node.remove();
    this.#settle(blocks.slice(0, settled));
    const rest = blocks.slice(settled);
    if (this.#openFence(rest)) return;
    const fragment = render(rest);
    this.#tailNodes = [...fragment.childNodes];
    this.element.append(fragment);
  }

  #settle(blocks: Token[]): void {
    if (blocks.length === 0) return;
    this.#tail = this.#tail.slice(lengthOf(blocks));
    this.element.append(render(blocks));
  }

  /** Takes the tail over where it is one open fence. */
  #openFence(blocks: readonly Token[]): boolean {
    const opening = blocks.length === 1 && blocks[0]?.type === "code" && /^(`{3,}|~{3,})([^\n]*)\n/.exec(this.#tail);
    if (!opening) return false;
    const [line, mark = "", info = ""] = opening;
    const block = codeBlock(/^\S*/.exec(info.trim())?.[0] ?? "", "");
    this.#fence = { closing: new RegExp(`^ {0,3}${mark}[~\`]* *$`), text: block.text, midLine: false };
    this.element.append(block.element);
    this.#tailNodes = [];
    this.#tail = this.#tail.slice(line.length);
    this.#drawFence(this.#fence);
    return true;
  }

  /** Appends the lines before the closing one, and of an incomplete line what cannot become that. */
  #drawFence(fence: OpenFence): void {
    const lines = this.#tail.split("\n");
    const last = lines.pop() ?? "";
    const close = lines.findIndex((line, i) => fence.closing.test(line) && !(i === 0 && fence.midLine));
    const code = close < 0 ? lines : lines.slice(0, close);
    fence.text.appendData(code.map((line) => `${line}\n`).join(""));
    if (close >= 0) {
      trimEnd(fence.text);
      this.#fence = undefined;
      this.#tail = [...lines.slice(close + 1), last].join("\n");
      return;
    }
    fence.midLine &&= lines.length === 0;
    this.#tail = last;
    if (!fence.midLine && MAY_CLOSE.test(last)) return;
    fence.text.appendData(last);
    fence.midLine = true;
    this.#tail = "";
  }
}

/** an incomplete line that may become the end of a fence */
const MAY_CLOSE = /^ {0,3}[~`]* *$/;

/** The text has ended within the fence: `line` is its end or code. */
function endFence({ closing, text }: OpenFence, line: string): void {
  if (!closing.test(line)) text.appendData(line);
  trimEnd(text);
}

function trimEnd(text: Text): void {
  if (text.data.endsWith("\n")) text.deleteData(text.length - 1, 1);
}

/** Blocks that nothing which comes later can change. */
function settledCount(blocks: readonly Token[]): number {
  const last = blocks.findLastIndex(({ type }) => type !== "space");
  const begun = blocks[last];
  if (begun === undefined) return 0;
  const firstLineIsWhole = last < blocks.length - 1 || begun.raw.includes("\n");
  if (firstLineIsWhole) return last;
  return Math.max(
    blocks.slice(0, last).findLastIndex(({ type }) => type !== "space"),
    0,
  );
}

const lengthOf = (blocks: readonly Token[]): number => blocks.reduce((sum, { raw }) => sum + raw.length, 0);
