/** A real backend whose runs may be called ahead, and what an engine makes of one, put together by hand. */
import assert from "node:assert/strict";
import { type Backend, type Batch, type HeadKind, NO_DISTRIBUTION, type Tracer } from "../../src/backend/backend.js";
import { CpuBackend } from "../../src/backend/cpu/cpu.js";
import { ReferenceBackend } from "../../src/backend/reference.js";
import { openGguf } from "../../src/engine/input.js";
import { placeModel } from "../../src/engine/placing.js";
import { createTokenizer } from "../../src/engine/text.js";
import { TernionError } from "../../src/errors.js";
import { Grammars } from "../../src/grammar/grammar.js";
import { readConfig } from "../../src/model/config.js";
import { repairMetadata } from "../../src/model/repair.js";
import { weightSources } from "../../src/model/weights.js";
import { node } from "../../src/platform/node.js";
import { Places } from "../../src/run/places.js";
import { Scheduler } from "../../src/run/scheduler.js";
import { Session } from "../../src/run/session.js";
import { Timeline } from "../../src/run/timeline.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";
import { TINY } from "../engine/engines.js";

/** What the queue in front of a backend counts, and how it is made to fail. */
export class Queue {
  /** runs called whose end was not reported yet */
  underWay = 0;
  mostUnderWay = 0;
  /** rows of all runs called */
  rows = 0;
  /** slots of the rows of the runs under way */
  readonly slots: number[][] = [];
  /** the run, counted from 1, that fails */
  failAt = Number.POSITIVE_INFINITY;
  runs = 0;
  /** the run, counted from 1, whose first row has logits that are no distribution */
  poisonAt = Number.POSITIVE_INFINITY;
  #tail: Promise<unknown> = Promise.resolve();

  /** `work` after all that was put here before. */
  put<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Until nothing is under way, and nobody has called more for some turns of the event loop. */
  async quiet(): Promise<void> {
    for (let calm = 0; calm < 20; calm = this.underWay === 0 ? calm + 1 : 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const RECORDED = new Set(
  "place copyBlock begin embed normQuantize ternary ropeStore attend gate normOutputs logits best sample mark".split(
    " ",
  ),
);
const READS = new Set(["read", "readBest", "readQuantized"]);

/** `inner`, with its ops kept back until their run's turn has come; it never sees two runs at the same time. */
export function queued(inner: Backend, runsAhead: number, queue: Queue): Backend {
  let record: (() => void)[] = [];
  let slots: number[] = [];
  const call = (name: PropertyKey, args: unknown[]) => {
    return (Reflect.get(inner, name) as (...args: unknown[]) => unknown).apply(inner, args);
  };
  const run = () => {
    const [ops, mine, number] = [record, slots, ++queue.runs];
    record = [];
    queue.underWay++;
    queue.rows += mine.length;
    queue.slots.push(mine);
    queue.mostUnderWay = Math.max(queue.mostUnderWay, queue.underWay);
    assert.ok(queue.underWay <= runsAhead, `${queue.underWay} runs under way`);
    return queue.put(async () => {
      try {
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        if (number >= queue.failAt) throw new TernionError("BACKEND_FAILED", `run ${queue.failAt} failed`);
        for (const op of ops) op();
        const ids = await inner.run();
        if (number === queue.poisonAt) ids[0] = NO_DISTRIBUTION;
        return ids;
      } finally {
        queue.underWay--;
        queue.slots.shift();
      }
    });
  };
  return new Proxy(inner, {
    get(_, name: string) {
      if (name === "runsAhead") return runsAhead;
      if (name === "run") return run;
      if (name === "setTracer") return (tracer: Tracer | undefined) => inner.setTracer(tracer);
      if (READS.has(name)) return (...args: unknown[]) => queue.put(async () => call(name, args));
      if (RECORDED.has(name)) {
        return (...args: unknown[]) => {
          const kept = name === "begin" ? structuredClone(args) : args;
          if (name === "begin") slots = [...(kept[0] as Batch).slots];
          record.push(() => call(name, kept));
        };
      }
      const value: unknown = Reflect.get(inner, name);
      return typeof value === "function" ? value.bind(inner) : value;
    },
  });
}

export interface Parts {
  readonly queue: Queue;
  readonly scheduler: Scheduler;
  readonly places: Places;
  readonly tokenizer: Tokenizer;
  session(): Session;
  /** what a session stands on */
  timeline(): Timeline;
}

export interface PartsOptions {
  readonly runsAhead: number;
  readonly maxRows?: number;
  readonly contextLength?: number;
  readonly stopIds?: readonly number[];
  readonly places?: number;
  readonly maxWaiting?: number;
  /** of all sessions; default: a context for each place */
  readonly cachePositions?: number;
  readonly head?: HeadKind;
  readonly backend?: "cpu" | "reference";
  /** the model moves to a plain CPU backend when a run fails */
  readonly recovers?: boolean;
}

export async function withParts<T>(options: PartsOptions, use: (parts: Parts) => Promise<T>): Promise<T> {
  const { runsAhead, maxRows = 16, contextLength = 256, stopIds, places = 16, head = "exact" } = options;
  const file = await openGguf(TINY);
  const { metadata } = repairMetadata(file.metadata);
  const config = readConfig(file, metadata);
  const cachePositions = options.cachePositions ?? places * contextLength;
  const sizes = { contextLength, maxSessions: places, cachePositions, maxRows } as const;
  const limits = { ...sizes, kv: "f32", head, i2sLayout: "auto" } as const;
  const place = (backend: Backend) => placeModel(backend, { config, sources: weightSources(file, config), limits }, {});
  const cpu = () => CpuBackend.create({ threads: 1, maxRows });
  const queue = new Queue();
  const inner = options.backend === "reference" ? new ReferenceBackend() : await cpu();
  const backend = queued(inner, runsAhead, queue);
  const recover = options.recovers ? async () => place(await cpu()) : undefined;
  const scheduler = new Scheduler(await place(backend), maxRows, node.nextTurn, recover);
  try {
    const tokenizer = createTokenizer(metadata);
    if (stopIds !== undefined) Object.assign(tokenizer, { stopIds: new Set(stopIds) });
    const { vocabularySize } = config;
    const setup = { scheduler, places: new Places(scheduler, places, options.maxWaiting), contextLength };
    const grammars = new Grammars(tokenizer, node.nextTurn);
    const shared = { ...setup, tokenizer, grammars, chatTemplate: undefined, vocabularySize };
    return await use({
      queue,
      scheduler,
      places: setup.places,
      tokenizer,
      session: () => new Session(shared),
      timeline: () => new Timeline(setup),
    });
  } finally {
    await backend.close();
    await scheduler.backend.close();
  }
}
