/** The messages of the conversation that is shown. Follows the end of an answer as long as the reader has not scrolled away. */
import { type Conversation, type Message, pathOf } from "./conversation.js";
import { byId, element, icon } from "./dom.js";
import { type MessageActions, type MessageView, messageView } from "./message-view.js";

/** pixels from the end that still count as the end */
const NEAR = 48;

export interface NoticeAction {
  readonly label: string;
  run(): void;
}

export class Thread {
  readonly #frame = byId("thread", HTMLElement);
  readonly #list = byId("messages", HTMLElement);
  readonly #welcome = byId("welcome", HTMLElement);
  readonly #toEnd = byId("to-end", HTMLButtonElement);
  readonly #views = new Map<string, MessageView>();
  readonly #actions: MessageActions;
  #follows = true;

  constructor(actions: Omit<MessageActions, "drawn">) {
    this.#actions = {
      retry: (message) => actions.retry(message),
      edit: (message, text) => actions.edit(message, text),
      choose: (message) => actions.choose(message),
      announce: (words) => actions.announce(words),
      drawn: () => this.#follow(),
    };
    this.#frame.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#follow()).observe(this.#frame);
  }

  show(conversation: Conversation): void {
    const path = pathOf(conversation);
    this.#views.clear();
    this.#list.replaceChildren(...path.map((message) => this.#view(conversation, message).element));
    this.#welcome.hidden = path.length > 0;
    this.toEnd();
  }

  add(conversation: Conversation, message: Message): void {
    this.#welcome.hidden = true;
    this.#list.append(this.#view(conversation, message).element);
    this.toEnd();
  }

  /** To the buttons that step between versions of this message. */
  focusVersions(message: Message): void {
    this.viewOf(message)?.element.querySelector<HTMLElement>(".siblings button:enabled")?.focus();
  }

  viewOf(message: Message): MessageView | undefined {
    return this.#views.get(message.id);
  }

  toEnd(): void {
    this.#follows = true;
    this.#follow();
  }

  /** To the edit button of the last question that is shown. */
  editLast(): void {
    [...this.#list.querySelectorAll<HTMLElement>('.user [aria-label="Edit this message"]')].at(-1)?.click();
  }

  /** Above the messages, until the next one or "". */
  notice(words: string, action: NoticeAction = { label: "Dismiss", run: () => this.notice("") }): void {
    const notice = byId("notice", HTMLElement);
    const button = element("button", { type: "button", class: "plain", click: () => action.run() }, action.label);
    notice.replaceChildren(icon("warning"), element("p", {}, words), button);
    notice.hidden = words === "";
  }

  #view(conversation: Conversation, message: Message): MessageView {
    const view = messageView(conversation, message, this.#actions);
    this.#views.set(message.id, view);
    return view;
  }

  #follow(): void {
    if (this.#follows) this.#frame.scrollTop = this.#frame.scrollHeight;
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#frame;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#toEnd.hidden = this.#follows;
  }
}
