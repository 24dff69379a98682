/** The bytes of a model on the device's thread: opened here where they are shared, else asked for, a chunk at a time. */
import { TernionError } from "../../../errors.js";
import type { ThreadBytes } from "../../../platform/platform.js";
import type { ByteSource, WeightSource } from "../../backend.js";
import type { BytesReply, LoadRequest, ReadRequest } from "../protocol.js";

export class Parts {
  readonly #waiting = new Map<number, (bytes: Uint8Array | undefined) => void>();
  #next = 0;
  readonly #open: ThreadBytes[] = [];

  /** `ask` sends a request to the main thread, whose reply comes to `receive`; `openShared` is the platform's. */
  constructor(
    readonly ask: (request: ReadRequest) => void,
    readonly openShared: (shared: unknown) => ThreadBytes,
  ) {}

  sourcesOf({ parts, sources }: LoadRequest): WeightSource[] {
    const all = parts.map((part, i) => (part.shared === undefined ? this.#asked(part, i) : this.#shared(part)));
    return sources.map(({ part, ...source }) => ({ ...source, bytes: all[part] }));
  }

  receive({ id, bytes }: BytesReply): void {
    this.#waiting.get(id)?.(bytes);
    this.#waiting.delete(id);
  }

  close(): void {
    for (const each of this.#open.splice(0)) each.close();
  }

  #shared({ name, size, shared }: LoadRequest["parts"][number]): ByteSource {
    const opened = this.openShared(shared);
    this.#open.push(opened);
    return { name, size, shared, read: async (offset, into) => opened.read(offset, into) };
  }

  #asked({ name, size }: LoadRequest["parts"][number], part: number): ByteSource {
    const read = async (offset: number, into: Uint8Array) => {
      const id = this.#next++;
      const reply = new Promise<Uint8Array | undefined>((resolve) => this.#waiting.set(id, resolve));
      this.ask({ id, part, offset, length: into.byteLength });
      const bytes = await reply;
      // the main thread has the reason, and says it in place of this
      if (bytes === undefined) throw new TernionError("GGUF_READ", `${name}: cannot be read.`);
      into.set(bytes);
    };
    return { name, size, read };
  }
}
