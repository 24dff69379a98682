/** A message on the page: the question as it was typed, the answer as Markdown, and what can be done with either. */
import { type Conversation, type Figures, type Message, siblingsOf } from "./conversation.js";
import { copyText, element, icon, iconButton } from "./dom.js";
import { StreamedMarkdown } from "./streamed-markdown.js";

/** What the buttons of a message ask for. */
export interface MessageActions {
  retry(message: Message): void;
  edit(message: Message, text: string): void;
  /** show this message in place of its sibling */
  choose(message: Message): void;
  announce(words: string): void;
  /** something has grown */
  drawn(): void;
}

export interface MessageView {
  readonly element: HTMLElement;
  /** the text has grown by this */
  append(delta: string): void;
  /** the message has ended, or what belongs to it has changed */
  update(): void;
}

export const messageView = (conversation: Conversation, message: Message, actions: MessageActions): MessageView =>
  message.role === "user" ? new Question(conversation, message, actions) : new Answer(conversation, message, actions);

class Question implements MessageView {
  readonly element: HTMLElement;
  readonly #message: Message;
  readonly #actions: MessageActions;
  readonly #bar: HTMLElement;

  constructor(conversation: Conversation, message: Message, actions: MessageActions) {
    this.#message = message;
    this.#actions = actions;
    const edit = iconButton("edit", "Edit this message", () => this.#edit());
    const copy = iconButton("copy", "Copy this message", () => void copyMessage(message, actions));
    this.#bar = element("div", { class: "bar" }, siblings(conversation, message, actions), copy, edit);
    this.element = article(message, "You", element("div", { class: "bubble" }, message.text), this.#bar);
  }

  append(): void {}
  update(): void {}

  #edit(): void {
    const area = element("textarea", { "aria-label": "Edit the message", rows: "3", class: "edit-area" });
    area.value = this.#message.text;
    const bubble = this.element.querySelector(".bubble");
    const close = (): void => {
      form.replaceWith(bubble ?? "");
      this.#bar.hidden = false;
      this.#bar.querySelector<HTMLElement>('[aria-label="Edit this message"]')?.focus();
    };
    const send = (): void => {
      if (area.value.trim() !== "") this.#actions.edit(this.#message, area.value);
    };
    const form = editForm(area, send, close);
    this.#bar.hidden = true;
    bubble?.replaceWith(form);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

function editForm(area: HTMLTextAreaElement, send: () => void, close: () => void): HTMLFormElement {
  const buttons = element(
    "div",
    { class: "buttons" },
    element("button", { type: "button", class: "plain", click: close }, "Cancel"),
    element("button", { type: "submit", class: "primary" }, "Send"),
  );
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (isSend(event)) send();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    send();
  };
  return element("form", { class: "edit", submit }, area, buttons);
}

/** Enter sends; with Shift, or while an input method composes a character (229: Safari's last key of that), it does not. */
export const isSend = ({ key, shiftKey, isComposing, keyCode }: KeyboardEvent): boolean =>
  key === "Enter" && !shiftKey && !isComposing && keyCode !== 229;

class Answer implements MessageView {
  readonly element: HTMLElement;
  readonly #conversation: Conversation;
  readonly #message: Message;
  readonly #actions: MessageActions;
  readonly #markdown: StreamedMarkdown;
  readonly #waiting = element("p", { class: "waiting" }, element("span", {}, "Waiting for the server"));
  readonly #foot = element("div", { class: "foot" });

  constructor(conversation: Conversation, message: Message, actions: MessageActions) {
    this.#conversation = conversation;
    this.#message = message;
    this.#actions = actions;
    this.#markdown = new StreamedMarkdown(() => actions.drawn());
    const name = message.model === undefined ? "Answer" : `Answer of ${message.model}`;
    this.element = article(message, name, this.#waiting, this.#markdown.element, this.#foot);
    this.#markdown.fill(message.text);
    this.update();
  }

  append(delta: string): void {
    this.#waiting.hidden = true;
    this.#markdown.append(delta);
  }

  update(): void {
    const { end } = this.#message;
    const open = end === "open";
    this.element.setAttribute("aria-busy", String(open));
    this.element.classList.toggle("open", open);
    this.#waiting.hidden = !open || this.#message.text !== "";
    if (open) return;
    this.#markdown.finish();
    this.#foot.replaceChildren(...this.#notes(), this.#bar());
    this.#actions.drawn();
  }

  #bar(): HTMLElement {
    const [message, actions] = [this.#message, this.#actions];
    const copy = iconButton("copy", "Copy this answer", () => void copyMessage(message, actions));
    const retry = iconButton("retry", "Another try", () => actions.retry(message));
    const figures = element("span", { class: "figures" }, figuresText(message.figures ?? {}));
    return element("div", { class: "bar" }, siblings(this.#conversation, message, actions), copy, retry, figures);
  }

  #notes(): HTMLElement[] {
    const { end, problem, text } = this.#message;
    if (end === "failed") {
      const again = element(
        "button",
        { type: "button", class: "plain", click: () => this.#actions.retry(this.#message) },
        "Try again",
      );
      return [
        element("div", { class: "problem" }, icon("warning"), element("p", {}, problem ?? "The answer failed."), again),
      ];
    }
    if (end === "stopped") return [element("p", { class: "note" }, "Stopped.")];
    if (end === "limit") return [element("p", { class: "note" }, "Ended at the limit of tokens.")];
    return text === "" ? [element("p", { class: "note" }, "The answer is empty.")] : [];
  }
}

function article({ id, role }: Message, name: string, ...content: readonly HTMLElement[]): HTMLElement {
  const heading = `heading-${id}`;
  return element(
    "article",
    { class: `message ${role}`, id: `message-${id}`, "aria-labelledby": heading },
    element("h2", { class: "visually-hidden", id: heading }, name),
    ...content,
  );
}

/** "‹ 2 / 3 ›" where a message has siblings. */
function siblings(conversation: Conversation, message: Message, actions: MessageActions): Node {
  const all = siblingsOf(conversation, message);
  const at = all.indexOf(message);
  if (all.length < 2) return document.createDocumentFragment();
  const step = (name: string, label: string, to: Message | undefined): HTMLButtonElement => {
    const button = iconButton(name, label, () => to && actions.choose(to));
    button.disabled = to === undefined;
    return button;
  };
  return element(
    "span",
    { class: "siblings", role: "group", "aria-label": "Versions" },
    step("left", "Version before", all[at - 1]),
    element("span", {}, `${at + 1} / ${all.length}`),
    step("right", "Version after", all[at + 1]),
  );
}

async function copyMessage(message: Message, actions: MessageActions): Promise<void> {
  actions.announce((await copyText(message.text)) ? "Copied." : "The browser refused to copy.");
}

/** "12 tokens · 250 tokens/s · prompt of 34 tokens, 20 cached" */
export function figuresText({ answerTokens, tokensPerSecond, promptTokens, cachedTokens }: Figures): string {
  const tokens = (count: number): string => `${count} token${count === 1 ? "" : "s"}`;
  const parts = [
    answerTokens !== undefined && tokens(answerTokens),
    tokensPerSecond !== undefined && `${tokensPerSecond.toFixed(tokensPerSecond < 10 ? 2 : 1)} tokens/s`,
    promptTokens !== undefined && `prompt of ${tokens(promptTokens)}${cachedTokens ? `, ${cachedTokens} cached` : ""}`,
  ];
  return parts.filter((part) => part !== false).join(" · ");
}
