/**
 * Conversations in the browser's IndexedDB. Where it is refused (some private windows), they live as long as the page, and
 * `kept` says so. Other tabs of the page hear of every change.
 */
import type { Conversation } from "./conversation.js";
import { conversation } from "./transfer.js";

const DATABASE = "ternion";
const TABLE = "conversations";

export class Store {
  readonly #database: IDBDatabase | undefined;
  readonly #channel = new BroadcastChannel("ternion.conversations");

  private constructor(database: IDBDatabase | undefined) {
    this.#database = database;
  }

  static async open(): Promise<Store> {
    return new Store(await openDatabase().catch(() => undefined));
  }

  get kept(): boolean {
    return this.#database !== undefined;
  }

  /** All that can be read; a damaged record stays where it is and is passed over. */
  async all(): Promise<Conversation[]> {
    const found = await this.#ask("readonly", (table) => table.getAll() as IDBRequest<unknown[]>);
    return (found ?? []).map(readable).filter((each) => each !== undefined);
  }

  async get(id: string): Promise<Conversation | undefined> {
    return readable(await this.#ask("readonly", (table) => table.get(id) as IDBRequest<unknown>));
  }

  async put(changed: Conversation): Promise<void> {
    await this.#ask("readwrite", (table) => table.put(changed));
    this.#channel.postMessage(changed.id);
  }

  async delete(id: string): Promise<void> {
    await this.#ask("readwrite", (table) => table.delete(id));
    this.#channel.postMessage(id);
  }

  /** Calls `changed` with the id of a conversation that another tab has written or deleted. */
  watch(changed: (id: string) => void): void {
    this.#channel.addEventListener("message", ({ data }) => changed(String(data)));
  }

  async #ask<Value>(
    mode: IDBTransactionMode,
    request: (table: IDBObjectStore) => IDBRequest<Value>,
  ): Promise<Value | undefined> {
    if (this.#database === undefined) return undefined;
    return result(request(this.#database.transaction(TABLE, mode).objectStore(TABLE)));
  }
}

function openDatabase(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener("upgradeneeded", () => opening.result.createObjectStore(TABLE, { keyPath: "id" }));
  return result(opening);
}

const result = <Value>(request: IDBRequest<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });

function readable(value: unknown): Conversation | undefined {
  try {
    return value === undefined ? undefined : conversation(value, "conversation");
  } catch {
    return undefined;
  }
}
