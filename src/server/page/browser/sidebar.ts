/** The list of conversations, newest first, as links, each with what can be done with it. A drawer on narrow screens. */
import type { Conversation } from "./conversation.js";
import { byId, element, iconButton } from "./dom.js";

export interface SidebarActions {
  rename(conversation: Conversation): void;
  save(conversation: Conversation): void;
  remove(conversation: Conversation): void;
}

const NARROW = matchMedia("(max-width: 50rem)");

export class Sidebar {
  readonly #frame = byId("sidebar", HTMLElement);
  readonly #list = byId("conversations", HTMLElement);
  readonly #toggle = byId("sidebar-toggle", HTMLButtonElement);
  readonly #shade = byId("shade", HTMLElement);
  readonly #actions: SidebarActions;
  #open = !NARROW.matches;

  constructor(actions: SidebarActions) {
    this.#actions = actions;
    this.#toggle.addEventListener("click", () => this.#set(!this.#open));
    this.#shade.addEventListener("click", () => this.close());
    NARROW.addEventListener("change", ({ matches }) => this.#set(!matches));
    this.#set(this.#open);
  }

  /** Whether there was a drawer to close. */
  close(): boolean {
    if (!this.#open || !NARROW.matches) return false;
    this.#set(false);
    this.#toggle.focus();
    return true;
  }

  show(conversations: Iterable<Conversation>, current: Conversation): void {
    const focused = this.#focused();
    const ordered = [...conversations].sort((a, b) => b.updatedAt - a.updatedAt);
    this.#list.replaceChildren(...ordered.map((each) => this.#row(each, each.id === current.id)));
    byId("no-conversations", HTMLElement).hidden = ordered.length > 0;
    if (focused !== undefined) document.getElementById(focused)?.focus();
  }

  #set(open: boolean): void {
    this.#open = open;
    document.body.classList.toggle("sidebar-open", open);
    this.#frame.inert = !open;
    this.#shade.hidden = !open || !NARROW.matches;
    this.#toggle.setAttribute("aria-expanded", String(open));
  }

  #focused(): string | undefined {
    const focused = document.activeElement;
    return focused instanceof HTMLElement && this.#list.contains(focused) ? focused.id : undefined;
  }

  #row(conversation: Conversation, current: boolean): HTMLElement {
    const { id } = conversation;
    const title = conversation.title || "New conversation";
    const link = element(
      "a",
      { class: "row-link", href: `#${id}`, id: `link-${id}`, "aria-current": current && "page" },
      title,
    );
    const button = (name: string, label: string, act: () => void): HTMLElement => {
      const made = iconButton(name, `${label}: ${title}`, act);
      made.id = `${name}-${id}`;
      return made;
    };
    const actions = element(
      "span",
      { class: "row-actions" },
      button("edit", "Rename", () => this.#actions.rename(conversation)),
      button("save", "Export", () => this.#actions.save(conversation)),
      button("delete", "Delete", () => this.#actions.remove(conversation)),
    );
    return element("li", { class: current ? "current" : "" }, link, actions);
  }
}
