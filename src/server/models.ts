/**
 * The models of a server: loaded when they are first asked for, however many ask; where there are more than may be loaded,
 * the one used longest ago goes, once its answers have ended. Requests wait in the queue of their model, also while it
 * loads.
 */
import { Engine, TernionError } from "../index.js";
import { ApiError, unavailable } from "./errors.js";
import type { NamedModel, Settings } from "./options.js";
import { type Entry, FairQueue, type Turn } from "./queue.js";

/** "wanted" waits until another model has gone; "leaving" ends its answers and takes no new ones. */
type State = "absent" | "wanted" | "loading" | "loaded" | "leaving" | "closing";

export class ServedModel {
  state: State = "absent";
  engine: Engine | undefined;
  /** those who use the engine without a place, and wait for it where it is not there */
  holds = 0;
  /** of the last use */
  usedAt = 0;
  readonly arrivals = new Set<(error: unknown) => void>();
  readonly queue: FairQueue;
  /** seconds since 1970 */
  readonly created = Math.floor(Date.now() / 1000);

  constructor(
    readonly source: NamedModel,
    { maxQueue, queueTimeoutMs }: Pick<Settings, "maxQueue" | "queueTimeoutMs">,
  ) {
    this.queue = new FairQueue({ maxWaiting: maxQueue, timeoutMs: queueTimeoutMs });
  }

  get name(): string {
    return this.source.name;
  }
  get isUsed(): boolean {
    return this.queue.under > 0 || this.holds > 0;
  }
  get isAskedFor(): boolean {
    return this.queue.waiting > 0 || this.arrivals.size > 0;
  }
}

/** Why a model did not load; the reason is no business of a client. */
export class LoadFailed extends Error {}

export class Models {
  readonly #settings: Settings;
  readonly #all: readonly ServedModel[];
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** loads and closes under way */
  readonly #work = new Set<Promise<void>>();

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#all = settings.models.map((source) => new ServedModel(source, settings));
  }

  get all(): readonly ServedModel[] {
    return this.#all;
  }

  /** The model of that name, the first one where none is named. */
  find(name: string | undefined): ServedModel {
    const found = name === undefined ? this.#all[0] : this.#all.find((each) => each.name === name);
    if (found !== undefined) return found;
    const names = this.#all.map((each) => each.name).join(", ");
    const message = `The model ${JSON.stringify(name?.slice(0, 100))} does not exist. Models here: ${names}.`;
    throw new ApiError(404, message, { param: "model", code: "model_not_found" });
  }

  nameOf(name: string | undefined): string {
    return this.find(name).name;
  }

  /** Of a model that has an answer under way. */
  engine(name: string): Engine {
    const { engine } = this.find(name);
    if (engine === undefined) throw closed();
    return engine;
  }

  /** Resolves when the model is there and a place of it taken, which `leave` gives back. */
  async enter(model: ServedModel, entry: Entry): Promise<{ readonly engine: Engine; readonly turn: Turn }> {
    this.#throwIfClosed();
    const entered = model.queue.enter(entry);
    this.#want(model);
    const turn = await entered;
    model.usedAt = performance.now();
    return { engine: model.engine as Engine, turn };
  }

  leave(model: ServedModel, turn: Turn): void {
    turn.leave();
    model.usedAt = performance.now();
    this.#released(model);
  }

  /** Loads the model anew for those who come later: the engine they would get answers no more. */
  renew(model: ServedModel, engine: Engine): void {
    if (model.state === "loaded" && model.engine === engine) this.#letGo(model);
  }

  /** Lets `use` have the engine without a place in it. */
  async withEngine<T>(model: ServedModel, signal: AbortSignal, use: (engine: Engine) => Promise<T> | T): Promise<T> {
    this.#throwIfClosed();
    model.holds++;
    try {
      return await use(model.engine ?? (await this.#arrival(model, signal)));
    } finally {
      model.holds--;
      this.#released(model);
    }
  }

  /** Ends what is under way and waits, and closes all engines; safe to call twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort(closed());
    for (const model of this.#all) {
      model.state = "closing";
      this.#refuse(model, closed());
    }
    await Promise.all(this.#all.map(({ engine }) => engine?.close()));
    await Promise.all(this.#work);
  }

  #throwIfClosed(): void {
    if (this.#closed !== undefined) throw closed();
  }

  async #arrival(model: ServedModel, signal: AbortSignal): Promise<Engine> {
    signal.throwIfAborted();
    let end = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        const arrived = (error: unknown) => (error === undefined ? resolve() : reject(error));
        const giveUp = () => reject(signal.reason);
        model.arrivals.add(arrived);
        signal.addEventListener("abort", giveUp);
        end = () => {
          model.arrivals.delete(arrived);
          signal.removeEventListener("abort", giveUp);
        };
        this.#want(model);
      });
    } finally {
      end();
    }
    return model.engine as Engine;
  }

  #want(model: ServedModel): void {
    if (model.state === "absent") model.state = "wanted";
    this.#makeRoom();
  }

  /** Loads those that are wanted as far as they may be loaded, and lets others go for them. */
  #makeRoom(): void {
    if (this.#closed !== undefined) return;
    const inState = (...states: State[]) => this.#all.filter(({ state }) => states.includes(state));
    for (const model of inState("wanted")) {
      const free = this.#settings.maxModels - inState("loading", "loaded", "leaving", "closing").length;
      if (free > 0) this.#run(this.#load(model));
    }
    const missing = inState("wanted").length - inState("leaving", "closing").length;
    const oldest = inState("loaded").sort((a, b) => Number(a.isUsed) - Number(b.isUsed) || a.usedAt - b.usedAt);
    for (const model of oldest.slice(0, Math.max(0, missing))) this.#letGo(model);
  }

  #letGo(model: ServedModel): void {
    model.state = "leaving";
    model.queue.places = 0;
    this.#released(model);
  }

  #released(model: ServedModel): void {
    if (model.state === "leaving" && !model.isUsed) this.#run(this.#unload(model));
  }

  #run(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }

  async #load(model: ServedModel): Promise<void> {
    model.state = "loading";
    const { signal } = this.#closing;
    try {
      const { source } = model;
      const engine = await Engine.load(source.model, { ...this.#settings.engine, ...source.engine, signal });
      if (signal.aborted) return await engine.close();
      this.#loaded(model, engine);
    } catch (error) {
      model.state = "absent";
      this.#refuse(model, signal.aborted ? closed() : loadFailed(model.name, error));
    }
    this.#makeRoom();
  }

  #loaded(model: ServedModel, engine: Engine): void {
    model.engine = engine;
    model.state = "loaded";
    model.usedAt = performance.now();
    for (const arrived of [...model.arrivals]) arrived(undefined);
    model.queue.places = engine.maxSessions;
  }

  async #unload(model: ServedModel): Promise<void> {
    const { engine } = model;
    model.state = "closing";
    model.engine = undefined;
    await engine?.close().catch(() => {}); // one that failed may fail here too
    model.state = model.isAskedFor ? "wanted" : "absent";
    this.#makeRoom();
  }

  #refuse(model: ServedModel, error: unknown): void {
    model.queue.refuse(error);
    for (const arrived of [...model.arrivals]) arrived(error);
  }
}

const closed = () => new TernionError("CLOSED", "The server is closing.");

const loadFailed = (name: string, cause: unknown) =>
  unavailable(`The model ${JSON.stringify(name)} could not be loaded.`, new LoadFailed("load failed", { cause }));
