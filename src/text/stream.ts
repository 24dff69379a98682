/**
 * Token bytes → text as it arrives. `TextStream` never gives out part of a character; `StopStrings` never gives out part
 * of a stop string. How the input was cut into pieces makes no difference to the output as a whole.
 */
import { strings } from "../check.js";

/** Bytes in, whole characters out. A stream has one owner and ends with `flush`. */
export class TextStream {
  // a leading U+FEFF is text here
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** The text that `bytes` completes; an unfinished character at their end waits for the next call. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** The rest: U+FFFD if the stream ended inside a character. */
  flush(): string {
    return this.#decoder.decode();
  }
}

export interface Stopped {
  /** text that is certain to come before any stop string */
  readonly text: string;
  /** the stop string that ended the text, once one has */
  readonly stop?: string;
}

/** Text in; the same text out up to the first stop string, which is left out. After it nothing more comes out. */
export class StopStrings {
  readonly #stops: readonly string[];
  /** a beginning of some stop string, or all that came if none is complete */
  #held = "";
  #stop: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = strings("stop", stops);
  }

  push(text: string): Stopped {
    if (this.#stop !== undefined) return { text: "", stop: this.#stop };
    const all = this.#held + text;
    const found = this.#find(all);
    if (found !== undefined) {
      this.#held = "";
      this.#stop = found.stop;
      return { text: all.slice(0, found.at), stop: found.stop };
    }
    const safe = all.length - this.#openLength(all);
    this.#held = all.slice(safe);
    return { text: all.slice(0, safe) };
  }

  /** What was held back, when the text ends without a stop string. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /**
   * The stop string that is complete first, and of several that are complete at once the longest: what a reader of
   * single characters would find, however large the pieces are.
   */
  #find(text: string): { at: number; stop: string } | undefined {
    let best: { at: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0) continue;
      const sooner = best === undefined ? -1 : at + stop.length - (best.at + best.stop.length);
      if (best === undefined || sooner < 0 || (sooner === 0 && at < best.at)) best = { at, stop };
    }
    return best;
  }

  /** Length of the longest end of `text` that may be the beginning of a stop string. */
  #openLength(text: string): number {
    let open = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > open; n--) {
        if (text.endsWith(stop.slice(0, n))) open = n;
      }
    }
    return open;
  }
}
