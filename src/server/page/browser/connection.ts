/** What the page knows of the server: its models, the one that is chosen, and the key where it wants one. */
import { listModels, ServerError } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, element } from "./dom.js";
import { readKey, readSettings, writeKey, writeSettings } from "./settings.js";

export interface ConnectionEvents {
  /** words for the reader */
  problem(words: string): void;
  connected(): void;
}

export class Connection {
  readonly #select = byId("model", HTMLSelectElement);
  readonly #keyButton = byId("key-button", HTMLButtonElement);
  readonly #events: ConnectionEvents;

  constructor(events: ConnectionEvents) {
    this.#events = events;
    this.#select.addEventListener("change", () => writeSettings({ ...readSettings(), model: this.model }));
    this.#keyButton.addEventListener("click", () => this.askKey(""));
    this.#keyButton.hidden = readKey() === "";
    const input = byId("key", HTMLInputElement);
    byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      writeKey(input.value.trim());
      input.value = "";
      void this.open();
    });
  }

  get model(): string {
    return this.#select.value;
  }

  /** Asks for the models, and for a key where the server wants one. Never throws. */
  async open(): Promise<void> {
    try {
      this.#offer(await listModels({ key: readKey() }));
      byId("key-dialog", HTMLDialogElement).close();
      this.#events.connected();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Of any request: a key that is missing or wrong is asked for, the rest is shown. */
  failed(error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    if (error instanceof ServerError && error.kind === "key") {
      this.askKey(readKey() === "" ? "" : `The server refuses this key. ${words}`);
      this.#events.problem("This server asks for an API key.");
    } else this.#events.problem(words);
  }

  askKey(problem: string): void {
    this.#keyButton.hidden = false;
    byId("key-problem", HTMLElement).textContent = problem;
    byId("key", HTMLInputElement).setAttribute("aria-invalid", String(problem !== ""));
    openDialog("key-dialog");
  }

  #offer(models: readonly string[]): void {
    const wanted = readSettings().model;
    this.#select.replaceChildren(...models.map((name) => element("option", { value: name }, name)));
    if (wanted !== undefined && models.includes(wanted)) this.#select.value = wanted;
    this.#select.disabled = models.length === 0;
  }
}
