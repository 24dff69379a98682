/** The main thread's end of the device's thread: requests, their answers, and how the thread ends. */
import { type ErrorCode, TernionError } from "../../errors.js";
import { startThread } from "../../platform/thread.js";
import {
  ABORT,
  type Aside,
  type Message,
  type ReadRequest,
  type Request,
  type RequestName,
  type Requests,
} from "./protocol.js";

interface Waiting {
  resolve(answer: unknown): void;
  reject(reason: unknown): void;
}

/** How long a device may take to end before its thread is stopped, in milliseconds. */
const CLOSE_MS = 5000;

export class Channel {
  readonly #worker: ReturnType<typeof startThread>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exit: Promise<void>;
  #next = 0;
  #fault: TernionError | undefined;
  #closing: Promise<void> | undefined;
  /** bytes that the device's thread has allocated, as of the last answer */
  memoryBytes = 0;
  onProgress: ((loaded: number) => void) | undefined;
  /** gives bytes that the thread cannot read itself; undefined where they cannot be read here either */
  onRead: ((request: ReadRequest) => Promise<Uint8Array | undefined>) | undefined;

  constructor() {
    this.#worker = start();
    this.#worker.unref();
    this.#worker.on("message", (message: Message) => this.#receive(message));
    this.#worker.on("error", (error) => this.#fail(failed(`The device's thread ended with an error: ${error}.`)));
    this.#exit = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        this.#fail(failed("The device's thread ended."));
        resolve();
      });
    });
  }

  /** Asks and waits. Rejects with what went wrong in the device's thread, and then every later call does. */
  ask<N extends RequestName>(name: N, ask: Requests[N]["ask"]): Promise<Requests[N]["answer"]> {
    return new Promise((resolve, reject) => {
      if (this.#fault !== undefined) return reject(this.#fault);
      const request: Request = { id: this.#next++, name, ask };
      this.#waiting.set(request.id, { resolve: resolve as Waiting["resolve"], reject });
      this.#worker.ref(); // only while somebody waits
      this.#worker.postMessage(request);
    });
  }

  /** Asks without waiting: a failure shows in the next call that waits. */
  post<N extends RequestName>(name: N, ask: Requests[N]["ask"]): void {
    this.ask(name, ask).catch(() => {});
  }

  abort(): void {
    this.#aside(ABORT);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#fail(new TernionError("CLOSED", "The backend is closed."));
    this.#worker.ref();
    this.#worker.postMessage({ id: this.#next++, name: "close", ask: undefined } satisfies Request);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.#exit, patience]);
    clearTimeout(timer);
    await this.#worker.terminate();
  }

  #aside(message: Aside, moved: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, moved);
  }

  async #read(request: ReadRequest): Promise<void> {
    const bytes = await this.onRead?.(request);
    const moved = bytes === undefined ? [] : [bytes.buffer as ArrayBuffer];
    this.#aside({ kind: "bytes", reply: { id: request.id, bytes } }, moved);
  }

  #receive(message: Message): void {
    if (message.kind === "read") {
      this.#read(message.read);
      return;
    }
    if (message.kind === "progress") {
      this.onProgress?.(message.loaded);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (this.#waiting.size === 0 && this.#closing === undefined) this.#worker.unref();
    if (message.kind === "answer") {
      this.memoryBytes = message.bytes;
      waiting?.resolve(message.answer);
      return;
    }
    const error = new TernionError(message.fault.code as ErrorCode, message.fault.message);
    waiting?.reject(error);
    // an aborted load leaves nothing broken, but a load is not repeated either
    this.#fail(error);
  }

  #fail(reason: TernionError): void {
    this.#fault ??= reason;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(reason);
    if (this.#closing === undefined) this.#worker.unref();
  }
}

function start(): ReturnType<typeof startThread> {
  try {
    return startThread("dist/src/backend/gpu/thread/worker.js");
  } catch (cause) {
    if (cause instanceof TernionError) throw cause;
    throw failed(`The device's thread could not start: ${cause}.`);
  }
}

const failed = (what: string) => new TernionError("BACKEND_FAILED", `${what} Load the model again.`);
