/** `/v1/completions`: texts or ids, continued. Choice `i * n + j` is the j-th answer to the i-th prompt. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Finish, Piece } from "../../index.js";
import type { Ask, Prompt } from "../ask.js";
import { wrongField } from "../errors.js";
import { FLAG, integer, object, type Schema, TEXT } from "../schema.js";
import type { Service } from "../service.js";
import { event, scopeOf } from "../sse.js";
import { type ChoicePiece, choicePieces } from "./choices.js";
import {
  allOptional,
  generateOptions,
  MOST_CHOICES,
  optionsOfChoice,
  type Refusal,
  refuseFields,
  SHARED_SCHEMAS,
  type SharedFields,
} from "./fields.js";
import { type LegacyForm, LegacyLogprobs, promptForm, TokenEntries } from "./logprobs.js";
import { finishReason, headOf, send } from "./send.js";
import { fieldNames } from "./tools.js";
import { totalsOf } from "./usage.js";

type Ids = readonly number[];

interface CompletionBody extends SharedFields {
  readonly prompt: string | readonly string[] | Ids | readonly Ids[];
  readonly echo?: boolean | null;
  readonly logprobs?: number | null;
  readonly best_of?: number | null;
  readonly parse_special?: boolean | null;
}

const IDS: Schema = { type: "array", items: integer(0) };

const BODY: Schema = object(
  {
    ...SHARED_SCHEMAS,
    prompt: {
      type: ["string", "array"],
      minItems: 1,
      anyOf: [TEXT, { type: "array", items: TEXT }, IDS, { type: "array", items: { ...IDS, minItems: 1 } }],
    },
    ...allOptional({ echo: FLAG, logprobs: integer(0, 20), best_of: integer(1), parse_special: FLAG }),
  },
  ["prompt"],
);

const REFUSED: Readonly<Record<string, Refusal>> = {
  suffix: { harmless: [""], reason: "Models here continue a text, and do not fill one in." },
};

const FIELDS = fieldNames("response_format.json_schema.schema");

/** OpenAI's, of this endpoint alone. */
const DEFAULT_MAX_TOKENS = 16;

export function completionRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Body: CompletionBody }>("/v1/completions", { schema: { body: BODY } }, (request, reply) => {
    const { body } = request;
    refuse(body);
    const scope = scopeOf(reply);
    const asks = asksOf(request, scope.signal);
    const answer = new CompletionAnswer(service, body, asks);
    const pieces = choicePieces(service, asks, { scope, each: body.n ?? 1 });
    return body.stream ? send(reply, answer.chunks(pieces), service) : answer.whole(pieces);
  });
}

function refuse(body: CompletionBody): void {
  const best_of = { harmless: [body.n ?? 1], reason: "Answers are not ranked: give what n is, or leave it out." };
  refuseFields(body, { ...REFUSED, best_of });
}

function promptsOf({ prompt }: CompletionBody): Prompt[] {
  if (typeof prompt === "string") return [{ text: prompt }];
  if (typeof prompt[0] === "number") return [{ ids: prompt as Ids }];
  return (prompt as readonly (string | Ids)[]).map((each) =>
    typeof each === "string" ? { text: each } : { ids: each },
  );
}

function asksOf({ body, client, id: requestId }: FastifyRequest<{ Body: CompletionBody }>, signal: AbortSignal): Ask[] {
  const prompts = promptsOf(body);
  const each = body.n ?? 1;
  const count = prompts.length * each;
  if (count > MOST_CHOICES) throw wrongField("prompt", `expected at most ${MOST_CHOICES} answers in all, got ${count}`);
  const options = {
    ...generateOptions(body),
    maxTokens: body.max_tokens ?? DEFAULT_MAX_TOKENS,
    logprobs: body.logprobs ?? undefined,
    parseSpecial: body.parse_special ?? true,
  };
  return Array.from({ length: count }, (_, index) => ({
    model: body.model ?? undefined,
    prompt: prompts[Math.floor(index / each)],
    options: {
      ...optionsOfChoice(options, index % each),
      // the other answers to the same prompt show what the first one found
      ...(body.echo && index % each === 0 && { promptLogprobs: options.logprobs }),
    },
    fields: FIELDS,
    client,
    operation: "text_completion",
    requestId,
    follows: index > 0,
    signal,
  }));
}

/** What came of one choice so far. */
interface Choice {
  readonly entries: TokenEntries | undefined;
  readonly logprobs: LegacyLogprobs;
  finish: Finish | undefined;
}

interface Delta {
  readonly text: string;
  readonly logprobs: LegacyForm | null;
}

class CompletionAnswer {
  readonly #service: Service;
  readonly #body: CompletionBody;
  readonly #asks: readonly Ask[];
  readonly #model: string;
  readonly #choices: (Choice | undefined)[];
  /** of the prompts that are shown with them */
  readonly #ofPrompts = new Map<Prompt, LegacyForm>();
  readonly #head: object;

  constructor(service: Service, body: CompletionBody, asks: readonly Ask[]) {
    this.#service = service;
    this.#body = body;
    this.#asks = asks;
    this.#model = service.models.nameOf(body.model ?? undefined);
    this.#choices = asks.map(() => undefined);
    this.#head = headOf("cmpl", "text_completion", this.#model);
  }

  async whole(pieces: AsyncIterable<ChoicePiece>): Promise<object> {
    const all = this.#choices.map((): Delta[] => []);
    for await (const { index, piece } of pieces) all[index].push(this.#take(index, piece));
    const choices = all.map((deltas, index) => this.#choice(index, joined(deltas), this.#choices[index]?.finish));
    return { ...this.#head, choices, ...this.#totals() };
  }

  async *chunks(pieces: AsyncIterable<ChoicePiece>): AsyncGenerator<string, void> {
    for await (const { index, piece } of pieces) {
      const delta = this.#take(index, piece);
      const { finish } = piece;
      if (delta.text === "" && !delta.logprobs?.tokens.length && finish === undefined) continue;
      const choices = [this.#choice(index, delta, finish)];
      yield event({ ...this.#head, choices, ...(this.#withUsage && { usage: null }) });
    }
    if (this.#withUsage) yield event({ ...this.#head, choices: [], ...this.#totals() });
    yield event("[DONE]");
  }

  /** What `piece` adds to its choice. */
  #take(index: number, piece: Piece): Delta {
    const echo = this.#choices[index] === undefined ? this.#echo(index) : "";
    const choice = this.#choices[index] ?? this.#begin(index, echo);
    choice.finish ??= piece.finish;
    const entries = choice.entries?.take(piece);
    const own = entries === undefined ? undefined : choice.logprobs.take(entries);
    const ofPrompt = echo === "" ? undefined : this.#ofPrompt(index, piece, echo);
    const logprobs = ofPrompt && own ? LegacyLogprobs.joined([ofPrompt, own]) : (own ?? null);
    return { text: echo + piece.text, logprobs };
  }

  /** The log probabilities of the prompt's own tokens, where they are asked for. */
  #ofPrompt(index: number, { promptLogprobs: scored }: Piece, echo: string): LegacyForm | undefined {
    const { prompt } = this.#asks[index];
    const { tokenizer } = this.#service.models.engine(this.#model);
    if (scored !== undefined) this.#ofPrompts.set(prompt, promptForm(tokenizer, scored, echo));
    return this.#ofPrompts.get(prompt);
  }

  #begin(index: number, echo: string): Choice {
    const { tokenizer } = this.#service.models.engine(this.#model);
    const isAsked = typeof this.#body.logprobs === "number";
    const entries = isAsked ? new TokenEntries(tokenizer) : undefined;
    const choice = { entries, logprobs: new LegacyLogprobs(echo), finish: undefined };
    this.#choices[index] = choice;
    return choice;
  }

  #echo(index: number): string {
    if (!this.#body.echo) return "";
    const { prompt } = this.#asks[index];
    if ("text" in prompt) return prompt.text;
    return "ids" in prompt ? this.#service.models.engine(this.#model).tokenizer.decode(prompt.ids) : "";
  }

  #choice(index: number, { text, logprobs }: Delta, finish: Finish | undefined) {
    return { text, index, logprobs, finish_reason: finish === undefined ? null : finishReason(finish) };
  }

  get #withUsage(): boolean {
    return this.#body.stream_options?.include_usage === true;
  }

  #totals() {
    return totalsOf(
      this.#choices.flatMap((choice) => choice?.finish ?? []),
      this.#body.n ?? 1,
    );
  }
}

function joined(deltas: readonly Delta[]): Delta {
  const text = deltas.map((delta) => delta.text).join("");
  const parts = deltas.flatMap(({ logprobs }) => logprobs ?? []);
  return { text, logprobs: parts.length === 0 ? null : LegacyLogprobs.joined(parts) };
}
