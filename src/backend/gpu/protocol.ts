/**
 * What the main thread and the device's thread say to each other. Handles are numbers that the main thread gives out;
 * requests are carried out in the order in which they are posted.
 */
import type { Batch, ByteSource, CacheShape, OpTime, WeightSource } from "../backend.js";
import type { Feature } from "./device/features.js";

export interface DeviceOptions {
  /** part of the adapter's name; default: the best hardware adapter, else the software one */
  readonly adapter?: string | undefined;
  /** refuse software adapters even where nothing else is there; default false */
  readonly hardwareOnly?: boolean | undefined;
  /** most rows of a batch */
  readonly maxRows: number;
  /**
   * compute a single row's neighbouring ops together (see thread/plan-row.ts); default: on hardware, since every workgroup then
   * normalises the row, which a software adapter does one after the other
   */
  readonly joinRows?: boolean | undefined;
  /** what kernels do without even where the adapter has it; default: nothing */
  readonly without?: readonly Feature[] | undefined;
  /** measure time by kernel; default false */
  readonly profile?: boolean | undefined;
}

/** What the thread answers when its device is open. */
export interface Opened {
  readonly description: string;
  /** bytes read and written a second, measured where time by kernel is */
  readonly copyRate: number | undefined;
}

/** Weights, with a number in `parts` in place of their bytes. */
export interface LoadRequest {
  readonly parts: readonly Pick<ByteSource, "name" | "size" | "shared">[];
  readonly sources: readonly (Omit<WeightSource, "bytes"> & { readonly part: number })[];
}

/** What the thread asks the main thread for while it loads: bytes that it cannot read itself. */
export interface ReadRequest {
  readonly id: number;
  readonly part: number;
  readonly offset: number;
  readonly length: number;
}

export interface BytesReply {
  readonly id: number;
  /** absent where they could not be read */
  readonly bytes: Uint8Array | undefined;
}

/** One forward pass. */
export interface RunRequest {
  /** number of the record of ops; its words come with its first run */
  readonly record: number;
  readonly words?: Int32Array;
  readonly batch: Batch;
}

export interface RunResult {
  /** ids chosen by `sample`, one for each ranked row */
  readonly ids: Int32Array;
  /** what `best` found, as the kernels leave it */
  readonly best?: ArrayBuffer;
  /** values of the marked tensors, in the order of the marks */
  readonly traces: readonly Float32Array[];
  readonly times: readonly OpTime[];
  /** what the run cost this thread until it was submitted, and how many dispatches it has */
  readonly host: { readonly ms: number; readonly dispatches: number };
}

/** Requests by name: their argument, and their answer. */
export interface Requests {
  open: { ask: DeviceOptions; answer: Opened };
  load: { ask: LoadRequest; answer: undefined };
  tensor: { ask: { id: number; maxRows: number; width: number }; answer: undefined };
  quantized: { ask: { id: number; normed: number; maxRows: number; width: number }; answer: undefined };
  cache: { ask: { id: number; shape: CacheShape }; answer: undefined };
  place: { ask: { cache: number; slot: number; blocks: Int32Array }; answer: undefined };
  copyBlock: { ask: { cache: number; from: number; to: number }; answer: undefined };
  head: { ask: { id: number; weight: number; maxRows: number; maxBest: number }; answer: undefined };
  run: { ask: RunRequest; answer: RunResult };
  write: { ask: { tensor: number; data: Float32Array }; answer: undefined };
  read: { ask: { tensor: number; first: number; count: number }; answer: Float32Array };
  readQuantized: {
    ask: { id: number; first: number; count: number };
    answer: { values: Int8Array; scales: Float32Array };
  };
  /** ends the device as a fault of the driver would, for tests */
  destroy: { ask: undefined; answer: undefined };
  close: { ask: undefined; answer: undefined };
}

export type RequestName = keyof Requests;

export interface Request<N extends RequestName = RequestName> {
  readonly id: number;
  readonly name: N;
  readonly ask: Requests[N]["ask"];
}

/** An error that crosses the threads: only plain fields do. */
export interface Fault {
  readonly code: string | undefined;
  readonly message: string;
}

export type Message =
  | { readonly kind: "answer"; readonly id: number; readonly answer: unknown; readonly bytes: number }
  | { readonly kind: "fault"; readonly id: number; readonly fault: Fault }
  | { readonly kind: "read"; readonly read: ReadRequest }
  /** bytes of the weights that were read so far */
  | { readonly kind: "progress"; readonly loaded: number };

/** Stops a load. */
export const ABORT = "abort";

/** What comes to the thread beside requests, and overtakes them. */
export type Aside = typeof ABORT | { readonly kind: "bytes"; readonly reply: BytesReply };
