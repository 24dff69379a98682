/** Where a question is typed. Keeps a draft for each conversation until it is sent. */
import { byId } from "./dom.js";
import { isSend } from "./message-view.js";
import { readDraft, writeDraft } from "./settings.js";

export interface ComposerActions {
  send(text: string): void;
  stop(): void;
  /** the up arrow in an empty box */
  editLast(): void;
}

export class Composer {
  readonly #area = byId("draft", HTMLTextAreaElement);
  readonly #send = byId("send", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #actions: ComposerActions;
  /** whose draft this is */
  #id = "";
  #running = false;

  constructor(actions: ComposerActions) {
    this.#actions = actions;
    this.#area.addEventListener("input", () => this.#changed());
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#stop.addEventListener("click", () => {
      actions.stop();
      this.focus();
    });
    byId("composer", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  show(id: string, running: boolean): void {
    if (id !== this.#id) {
      this.#id = id;
      this.#area.value = readDraft(id);
      this.#fit();
    }
    this.#running = running;
    this.#stop.hidden = !running;
    this.#send.hidden = running;
    this.#enable();
  }

  focus(): void {
    this.#area.focus();
  }

  put(text: string): void {
    this.#area.value = text;
    this.#changed();
    this.focus();
  }

  #changed(): void {
    writeDraft(this.#id, this.#area.value);
    this.#fit();
    this.#enable();
  }

  #enable(): void {
    this.#send.disabled = this.#area.value.trim() === "";
  }

  /** As high as its lines; the style sheet has the bound. */
  #fit(): void {
    this.#area.style.height = "auto";
    this.#area.style.height = `${this.#area.scrollHeight}px`;
  }

  #key(event: KeyboardEvent): void {
    if (isSend(event)) this.#submit();
    else if (event.key === "ArrowUp" && this.#area.value === "") this.#actions.editLast();
    else return;
    event.preventDefault();
  }

  #submit(): void {
    const text = this.#area.value;
    if (this.#running || text.trim() === "") return;
    this.#area.value = "";
    this.#changed();
    this.#actions.send(text);
  }
}
