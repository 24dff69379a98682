/**
 * Where an answer's samples come from. Either each step's scores come here, are sampled, and the id is fed; or the backend
 * samples by itself and runs ahead (`Timeline.follow`), where it can and the sampler's settings allow it. The samples are
 * the same.
 */
import type { Sample, Sampler } from "../sampling/sampler.js";
import type { FollowRequest, Scores } from "./scheduler.js";

/** What the loop needs of a session. */
export interface Timeline {
  readonly contextLength: number;
  /** ids whose keys and values are in the cache */
  readonly tokens: readonly number[];
  /** how many steps of an answer `follow` has under way; 1 where it gains nothing */
  readonly runsAhead: number;
  /** Makes the timeline `ids`, computing what the cache lacks; gives the scores behind the last id, at least `best`. */
  extendTo(ids: readonly number[], best: number, signal?: AbortSignal): Promise<{ scores: Scores; cached: number }>;
  /** The same, and gives the `count` ids that follow, the timeline growing with them; it has room for all but the last. */
  follow(ids: readonly number[], draws: Draws): { chosen: AsyncIterable<number>; cached: number };
}

export type Draws = Pick<FollowRequest, "count" | "best" | "draw" | "signal">;

export interface SourceOptions {
  readonly maxTokens: number;
  readonly overflow?: "stop" | "shift" | undefined;
  readonly keepTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** called before the first sample, with the number of prompt ids found in the cache */
  onPrompt(cached: number): void;
}

/**
 * The samples that continue `prompt`, until the context is full; at least one. No more than `maxTokens` may be asked for,
 * and the last one's id is not fed.
 */
export function samples(
  timeline: Timeline,
  sampler: Sampler,
  prompt: readonly number[],
  options: SourceOptions,
): AsyncGenerator<Sample, void, undefined> {
  const { drawAt: draw, candidates: best } = sampler;
  if (timeline.runsAhead === 1 || draw === undefined) return stepped(timeline, sampler, prompt, options);
  return followed(timeline, { draw, best }, prompt, options);
}

async function* stepped(
  timeline: Timeline,
  sampler: Sampler,
  prompt: readonly number[],
  { overflow = "stop", keepTokens = 0, signal, onPrompt }: SourceOptions,
): AsyncGenerator<Sample, void, undefined> {
  const ids = [...prompt];
  const history = [...prompt]; // what penalties look at: not cut by a shift
  let { scores, cached } = await timeline.extendTo(ids, sampler.candidates, signal);
  onPrompt(cached);
  for (;;) {
    const sample = sampler.sample(scores, history, history.length);
    yield sample;
    ids.push(sample.id);
    history.push(sample.id);
    if (ids.length > timeline.contextLength) {
      if (overflow === "stop") return;
      shiftContext(ids, keepTokens, timeline.contextLength);
    }
    ({ scores } = await timeline.extendTo(ids, sampler.candidates, signal));
  }
}

async function* followed(
  timeline: Timeline,
  { draw, best }: Pick<Draws, "draw" | "best">,
  prompt: readonly number[],
  { maxTokens, overflow = "stop", keepTokens = 0, signal, onPrompt }: SourceOptions,
): AsyncGenerator<Sample, void, undefined> {
  const ids = [...prompt];
  let total = ids.length; // with what shifts have dropped
  let told = false;
  for (;;) {
    const dropped = total - ids.length;
    const wanted = Math.max(1, maxTokens - (total - prompt.length));
    const { chosen, cached } = timeline.follow(ids.slice(), {
      count: Math.min(wanted, timeline.contextLength - ids.length + 1),
      best,
      draw: (position) => draw(position + dropped),
      signal,
    });
    for await (const id of chosen) {
      if (!told) onPrompt(cached);
      told = true;
      ids.push(id);
      total++;
      yield { id };
    }
    if (overflow === "stop") return;
    shiftContext(ids, keepTokens, timeline.contextLength);
  }
}

/** Keeps the first `keep` ids and the younger half of the rest; a rest that is too long anyway is cut to half. */
export function shiftContext(ids: number[], keep: number, contextLength: number): void {
  const room = contextLength - keep;
  const stays = Math.max(1, Math.floor(room / 2));
  ids.splice(keep, ids.length - keep - stays);
}
