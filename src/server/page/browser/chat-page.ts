/** The page: conversations, the one that is shown, and what every button and key does to them. */
import { Answers } from "./answers.js";
import type { ServerError } from "./api.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { addMessage, type Conversation, type Message, messageOf, newConversation, showBranch } from "./conversation.js";
import { askText, confirmed, openDialog, settingsDialog } from "./dialogs.js";
import { byId } from "./dom.js";
import { chosenText, saveFile } from "./files.js";
import { readKey, readSettings, writeDraft, writeSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import type { Store } from "./store.js";
import { isDark, setTheme } from "./theme.js";
import { type NoticeAction, Thread } from "./thread.js";
import { additions, exportText, importText } from "./transfer.js";

/** milliseconds between two saves of an answer that is being written */
const SAVE_EVERY = 1000;
/** of an answer, characters that are read out at its end */
const READ_OUT = 500;

export class ChatPage {
  readonly #store: Store;
  readonly #conversations: Map<string, Conversation>;
  readonly #saving = new Map<string, number>();
  readonly #thread = new Thread({
    retry: (message) => this.#retry(message),
    edit: (message, text) => this.#ask(text, message.parent),
    choose: (message) => this.#choose(message),
    announce: (words) => this.#announce(words),
  });
  readonly #composer = new Composer({
    send: (text) => this.#ask(text, this.#current.tip),
    stop: () => this.#answers.stop(this.#current),
    editLast: () => this.#thread.editLast(),
  });
  readonly #sidebar = new Sidebar({
    rename: (conversation) => void this.#rename(conversation),
    save: (conversation) => saveFile(fileName(conversation.title || "conversation"), exportText([conversation])),
    remove: (conversation) => void this.#remove(conversation),
  });
  readonly #answers = new Answers({
    grown: (conversation, message, delta) => this.#grown(conversation, message, delta),
    ended: (conversation, message, error) => this.#ended(conversation, message, error),
  });
  readonly #connection = new Connection({
    problem: (words) => this.#problem(words, { label: "Try again", run: () => void this.#connection.open() }),
    connected: () => {
      this.#thread.notice("");
      if (matchMedia("(hover: hover)").matches) this.#composer.focus(); // on a phone it would call the keyboard up
    },
  });
  readonly #settings = settingsDialog(readSettings, {
    sampling: (sampling) => writeSettings({ ...readSettings(), sampling }),
    systemPrompt: (conversation, text) => {
      conversation.systemPrompt = text;
      if (this.#conversations.has(conversation.id)) this.#saveSoon(conversation);
    },
  });
  #current = newConversation();

  constructor(store: Store, conversations: readonly Conversation[]) {
    this.#store = store;
    this.#conversations = new Map(conversations.map((each) => [each.id, each]));
    this.#listen();
    this.#showAddressed();
    void this.#connection.open().then(() => {
      if (!store.kept) this.#problem("This browser keeps nothing for this page: conversations end with the tab.");
    });
  }

  #listen(): void {
    const click = (id: string, act: () => void): void => byId(id, HTMLButtonElement).addEventListener("click", act);
    click("skip", () => this.#composer.focus());
    click("new", () => this.#startNew());
    click("theme-toggle", () => setTheme(isDark() ? "light" : "dark"));
    click("settings-button", () => this.#settings.open(this.#current));
    click("shortcuts-button", () => openDialog("shortcuts"));
    click("export", () => saveFile(fileName("conversations"), exportText([...this.#conversations.values()])));
    click("import", () => void this.#import());
    for (const example of document.querySelectorAll<HTMLElement>("#welcome .example")) {
      example.addEventListener("click", () => this.#composer.put(example.textContent ?? ""));
    }
    addEventListener("hashchange", () => this.#showAddressed());
    addEventListener("pagehide", () => this.#saveOpen());
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#store.watch((id) => void this.#changedElsewhere(id));
  }

  #key(event: KeyboardEvent): void {
    if (document.querySelector("dialog[open]") !== null || event.isComposing) return;
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "Escape") {
      if (!this.#sidebar.close()) this.#answers.stop(this.#current);
    } else if (control && event.shiftKey && event.code === "KeyO") this.#startNew();
    else if (control && event.key === "/") openDialog("shortcuts");
    else if (control && event.key === ",") this.#settings.open(this.#current);
    else return;
    event.preventDefault();
  }

  #startNew(): void {
    if (location.hash !== "") history.pushState(null, "", location.pathname + location.search);
    this.#sidebar.close();
    this.#show(newConversation());
    this.#composer.focus();
  }

  /** The conversation that the address names, or a new one. */
  #showAddressed(): void {
    const conversation = this.#conversations.get(location.hash.slice(1));
    this.#sidebar.close();
    this.#show(conversation ?? newConversation());
  }

  #show(conversation: Conversation): void {
    this.#current = conversation;
    this.#thread.show(conversation);
    this.#refresh();
  }

  /** Everything but the messages. */
  #refresh(): void {
    const { title, id, messages } = this.#current;
    const isNew = messages.length === 0 && !this.#conversations.has(id);
    byId("title", HTMLElement).textContent = title || "New conversation";
    document.title = title === "" ? "Ternion" : `${title} - Ternion`;
    this.#composer.show(isNew ? "new" : id, this.#answers.isRunning(this.#current));
    this.#sidebar.show(this.#conversations.values(), this.#current);
  }

  /** A question after `parent`, and its answer. Where that is not the tip, it starts a branch of its own. */
  #ask(text: string, parent: string | undefined): void {
    const conversation = this.#current;
    const branches = parent !== conversation.tip;
    const question = addMessage(conversation, { parent, role: "user", text, end: "complete" });
    this.#conversations.set(conversation.id, conversation);
    if (location.hash.slice(1) !== conversation.id) history.replaceState(null, "", `#${conversation.id}`);
    if (branches) this.#thread.show(conversation);
    else this.#thread.add(conversation, question);
    this.#answer(conversation, question);
  }

  #retry(message: Message): void {
    const question = messageOf(this.#current, message.parent);
    if (question === undefined) return;
    this.#current.tip = question.id;
    this.#thread.show(this.#current);
    this.#answer(this.#current, question);
  }

  #answer(conversation: Conversation, { id: parent }: Message): void {
    this.#answers.stop(conversation);
    const { model } = this.#connection;
    const message = addMessage(conversation, { parent, role: "assistant", text: "", end: "open", model });
    this.#thread.add(conversation, message);
    void this.#answers.run(conversation, message, { model, key: readKey(), sampling: readSettings().sampling });
    void this.#save(conversation);
    this.#refresh();
    this.#composer.focus();
    this.#announce("Answering.");
  }

  #choose(message: Message): void {
    showBranch(this.#current, message);
    this.#thread.show(this.#current);
    this.#thread.focusVersions(message);
    void this.#save(this.#current);
  }

  #grown(conversation: Conversation, message: Message, delta: string): void {
    if (conversation === this.#current) this.#thread.viewOf(message)?.append(delta);
    this.#saveSoon(conversation);
  }

  #ended(conversation: Conversation, message: Message, error: ServerError | undefined): void {
    if (this.#conversations.has(conversation.id)) void this.#save(conversation);
    if (conversation !== this.#current) return;
    this.#thread.viewOf(message)?.update();
    this.#refresh();
    this.#announce(spoken(message));
    if (error?.kind === "key") this.#connection.failed(error);
  }

  async #rename(conversation: Conversation): Promise<void> {
    const title = await askText("Rename the conversation", "Name", conversation.title);
    if (title === undefined) return;
    conversation.title = title;
    void this.#save(conversation);
    this.#refresh();
    document.getElementById(`edit-${conversation.id}`)?.focus();
  }

  async #remove(conversation: Conversation): Promise<void> {
    const words = `“${conversation.title}” and its ${conversation.messages.length} messages will be deleted from this browser.`;
    if (!(await confirmed("Delete the conversation?", words, "Delete"))) return;
    this.#conversations.delete(conversation.id);
    this.#answers.stop(conversation);
    writeDraft(conversation.id, "");
    await this.#store.delete(conversation.id);
    if (conversation === this.#current) this.#startNew();
    else this.#refresh();
    this.#announce("Deleted.");
  }

  async #import(): Promise<void> {
    try {
      const text = await chosenText();
      if (text === undefined) return;
      const read = importText(text);
      const added = additions(read, this.#conversations);
      for (const each of added) {
        this.#conversations.set(each.id, each);
        await this.#save(each);
      }
      this.#refresh();
      this.#problem(`Imported: ${added.length} of ${read.length}; the others were here already.`);
    } catch (error) {
      this.#problem(`The file was not imported. ${error instanceof Error ? error.message : error}`);
    }
  }

  /** In another tab. What is being answered here is written by this tab alone. */
  async #changedElsewhere(id: string): Promise<void> {
    const shown = this.#current.id === id;
    if (shown && this.#answers.isRunning(this.#current)) return;
    const conversation = await this.#store.get(id);
    if (conversation === undefined) this.#conversations.delete(id);
    else this.#conversations.set(id, conversation);
    if (shown) this.#show(conversation ?? newConversation());
    else this.#refresh();
  }

  #saveSoon(conversation: Conversation): void {
    if (this.#saving.has(conversation.id)) return;
    const timer = window.setTimeout(() => void this.#save(conversation), SAVE_EVERY);
    this.#saving.set(conversation.id, timer);
  }

  async #save(conversation: Conversation): Promise<void> {
    window.clearTimeout(this.#saving.get(conversation.id));
    this.#saving.delete(conversation.id);
    if (!this.#conversations.has(conversation.id)) return;
    await this.#store.put(conversation).catch((error: unknown) => {
      this.#problem(`The browser could not keep this conversation: ${error instanceof Error ? error.message : error}`);
    });
  }

  #saveOpen(): void {
    for (const id of [...this.#saving.keys()]) {
      const conversation = this.#conversations.get(id);
      if (conversation !== undefined) void this.#save(conversation);
    }
  }

  #problem(words: string, action?: NoticeAction): void {
    this.#thread.notice(words, action);
    this.#announce(words);
  }

  #announce(words: string): void {
    byId("status", HTMLElement).textContent = words;
  }
}

/** What a screen reader says at the end of an answer: once, not token by token. */
function spoken({ end, problem, text }: Message): string {
  if (end === "failed") return problem ?? "The answer failed.";
  if (end === "stopped") return "Stopped.";
  const part = text.length > READ_OUT ? `${text.slice(0, READ_OUT)}… The answer goes on.` : text;
  return `Answer: ${part}`;
}

const fileName = (words: string): string => {
  const plain = words
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return `ternion-${plain.slice(0, 40) || "conversation"}-${new Date().toISOString().slice(0, 10)}.json`;
};
