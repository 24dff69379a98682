/** What loading a model reports: progress while it goes on, and where the time went. */
import type { TernaryLayout } from "../backend/backend.js";
import type { Repair } from "../model/family.js";

/** How far a load has come, as option `onProgress` reports it. */
export interface ProgressEvent {
  readonly phase: "download" | "weights";
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/** One step of a load: how long it took, and over how many bytes. */
export interface LoadStep {
  /** "metadata", "layout", "backend", "weights", "tokenizer", "cache", "head"; weights and tokenizer run at the same time */
  readonly component: string;
  readonly ms: number;
  /** bytes read from the file, or allocated */
  readonly bytes: number;
}

/** What was found and done while loading. */
export interface LoadReport {
  readonly steps: readonly LoadStep[];
  readonly totalMs: number;
  /** defects of the file that were repaired */
  readonly repairs: readonly Repair[];
  /** of the ternary weights in the file */
  readonly i2sLayout: TernaryLayout;
}

/** Time and bytes of each step of loading. */
export class LoadClock {
  readonly #start = performance.now();
  #last = this.#start;
  readonly #steps: LoadStep[] = [];

  /** Forgets the steps of a backend that did not come to its end; what was done for any backend stays. */
  restart(): void {
    const kept = this.#steps.filter(({ component }) => component === "metadata" || component === "tokenizer");
    this.#steps.splice(0, this.#steps.length, ...kept);
    this.mark();
  }
  mark(): void {
    this.#last = performance.now();
  }
  done(component: string, bytes: number): void {
    this.#steps.push({ component, ms: performance.now() - this.#last, bytes });
    this.mark();
  }
  measure<T>(component: string, bytes: number, use: () => T): T {
    const start = performance.now();
    const result = use();
    this.#steps.push({ component, ms: performance.now() - start, bytes });
    return result;
  }
  async measureAsync<T>(component: string, bytes: number, work: Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work;
    this.#steps.push({ component, ms: performance.now() - start, bytes });
    return result;
  }
  report(repairs: readonly Repair[], i2sLayout: TernaryLayout): LoadReport {
    return { steps: this.#steps, totalMs: performance.now() - this.#start, repairs, i2sLayout };
  }
}
