/**
 * The samples that continue a prompt, one after the other: over shifts of a full context, and over the loss of its place, to
 * others or by a move of the model to another backend. One request at a time is under way for it.
 */
import type { MaskAt } from "../sampling/mask.js";
import type { Sample, Sampler } from "../sampling/sampler.js";
import { type Choice, Interrupted, type Request } from "./request.js";
import type { Timeline } from "./timeline.js";

export interface AnswerOptions {
  /** no more than this are asked for; the last one's id is not fed */
  readonly maxTokens: number;
  readonly overflow?: "stop" | "shift" | undefined;
  /** ids at the beginning that a shift keeps */
  readonly keepTokens?: number | undefined;
  /**
   * Called for a position once all ids before it were given out. Positions count from the first id of the prompt, and on
   * over shifts.
   */
  readonly mask?: MaskAt | undefined;
  /** Whether `mask` allows all ids until one of those that are chosen ends that; default: it has to be asked each time. */
  readonly isFree?: (() => boolean) | undefined;
  /** Called with each id that was chosen. */
  readonly onId?: ((id: number) => void) | undefined;
  /** Ids that must follow `history`, whatever would be chosen: they are fed at once. Asked after each id that was chosen. */
  readonly forced?: ((history: readonly number[]) => readonly number[]) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Answer {
  #cached: number | undefined;
  /** the timeline as it is to be */
  readonly #ids: number[];
  /** all ids, what penalties look at: not cut by a shift */
  readonly #history: number[];
  #request: Request | undefined;
  /** the request may run ahead of what its mask would say */
  #isFree = false;
  /** ids that follow, and were not given out yet */
  #forced: number[] = [];

  /** `prompt` has at least one id, and fits into the context. */
  constructor(
    readonly timeline: Timeline,
    readonly sampler: Sampler,
    readonly prompt: readonly number[],
    readonly options: AnswerOptions,
  ) {
    this.#ids = [...prompt];
    this.#history = [...prompt];
  }

  /** Ids of the prompt that were found in the cache. */
  get cached(): number {
    return this.#cached ?? 0;
  }

  /** The next sample; undefined where the context is full. There is at least one. */
  async next(): Promise<Sample | undefined> {
    const { signal, overflow = "stop", keepTokens = 0 } = this.options;
    const { contextLength } = this.timeline;
    if (this.#ids.length > contextLength) {
      if (overflow === "stop") return undefined;
      await this.close();
      shiftContext(this.#ids, keepTokens, contextLength);
    }
    if (this.#isFree && !this.#mayBeFree) await this.close(); // what ran ahead was not asked for
    const forced = this.#forced.shift();
    if (forced !== undefined) {
      signal?.throwIfAborted();
      await this.close();
      return this.#add({ id: forced });
    }
    for (;;) {
      signal?.throwIfAborted(); // nothing more is taken of what has come already
      try {
        const request = this.#request ?? (await this.#start());
        return this.#take(await request.next());
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
        await this.close();
      }
    }
  }

  /** Whether ids follow that need no choice. */
  get isForced(): boolean {
    return this.#forced.length > 0;
  }

  /** Ends what is under way: after that nothing writes to the timeline's place. */
  async close(): Promise<void> {
    await this.#request?.close();
    this.#request = undefined;
    this.#isFree = false;
  }

  get #mayBeFree(): boolean {
    const { mask, isFree } = this.options;
    return mask === undefined || isFree?.() === true;
  }

  #take(sample: Sample): Sample {
    // what was computed beyond the ids that were taken is never listed
    const last = this.#ids.length - 1;
    if (this.timeline.tokens.length === last) this.timeline.append(this.#ids[last]);
    this.#add(sample);
    this.options.onId?.(sample.id);
    this.#forced.push(...(this.options.forced?.(this.#history) ?? []));
    return sample;
  }

  #add(sample: Sample): Sample {
    this.#ids.push(sample.id);
    this.#history.push(sample.id);
    return sample;
  }

  async #start(): Promise<Request> {
    const { signal, maxTokens } = this.options;
    const start = { ids: this.#ids.slice() };
    await this.timeline.takePlace(start, signal);
    const taken = this.#history.length - this.prompt.length;
    const left = Math.max(1, maxTokens - taken);
    const { request, cached } = this.timeline.start(start, {
      ...this.#choice(),
      count: Math.min(left, this.timeline.contextLength - this.#ids.length + 1),
      signal,
    });
    this.#cached ??= cached; // what is found after an interruption it has computed itself
    this.#request = request;
    return request;
  }

  #choice(): Choice {
    const { candidates, drawAt } = this.sampler;
    this.#isFree = this.#mayBeFree;
    const mask = this.#isFree ? undefined : this.options.mask;
    const history = this.#history;
    const dropped = history.length - this.#ids.length; // by shifts
    const maskAt = (position: number) => mask?.(position + dropped);
    return {
      best: mask !== undefined && drawAt === undefined ? 0 : candidates, // the best of all may not be allowed
      choose: (scores, position) => this.sampler.sample(scores, history, position + dropped, maskAt(position)),
      draw: drawAt && ((position) => drawAt(position + dropped, maskAt(position))),
      stepwise: mask !== undefined,
    };
  }
}

/** Keeps the first `keep` ids and the younger half of the rest; a rest that is too long anyway is cut to half. */
export function shiftContext(ids: number[], keep: number, contextLength: number): void {
  const room = contextLength - keep;
  const stays = Math.max(1, Math.floor(room / 2));
  ids.splice(keep, ids.length - keep - stays);
}
