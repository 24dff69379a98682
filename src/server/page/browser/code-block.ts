/** A block of code: its language, a button that copies it, and its text, which may still grow. */
import { copyText, element } from "./dom.js";

export interface CodeBlock {
  readonly element: HTMLElement;
  readonly text: Text;
}

export function codeBlock(language: string, code: string): CodeBlock {
  const text = document.createTextNode(code);
  const label = language === "" ? "Code" : `Code, ${language}`;
  const copy = element("button", { type: "button", class: "copy", click: () => void copyFrom(copy, text) }, "Copy");
  const head = element("div", { class: "code-head" }, element("span", {}, language === "" ? "code" : language), copy);
  const body = element("pre", { tabindex: "0", role: "region", "aria-label": label }, element("code", {}, text));
  return { element: element("div", { class: "code-block" }, head, body), text };
}

async function copyFrom(button: HTMLButtonElement, text: Text): Promise<void> {
  button.textContent = (await copyText(text.data)) ? "Copied" : "Copy failed";
  window.setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}
