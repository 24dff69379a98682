/**
 * The pieces of several answers to one request, each with the index of its choice. Of the answers to one prompt the first
 * begins alone: when its first piece is there the prompt is in the cache, and the others find it. Nothing more is asked of an answer before its
 * last piece was taken.
 */
import type { Piece } from "../../index.js";
import type { Ask } from "../ask.js";
import { ClientGone } from "../errors.js";
import type { Service } from "../service.js";

export interface ChoicePiece {
  readonly index: number;
  readonly piece: Piece;
}

type Answer = AsyncGenerator<Piece, void, undefined>;
interface Arrived {
  readonly index: number;
  readonly result: Promise<IteratorResult<Piece, void>>;
}

interface Choices {
  /** that of all the answers: where one fails the others end */
  readonly scope: AbortController;
  /** answers to each prompt, one after the other */
  readonly each: number;
}

export async function* choicePieces(
  service: Service,
  asks: readonly Ask[],
  { scope, each }: Choices,
): AsyncGenerator<ChoicePiece, void, undefined> {
  const answers = asks.map((ask) => service.answer(ask));
  const arrivals = new Arrivals(answers);
  const waiting = new Set(answers.keys());
  const begin = (index: number) => waiting.delete(index) && arrivals.ask(index);
  try {
    for (let index = 0; index < answers.length; index += each) begin(index);
    for (let open = answers.length; open > 0; ) {
      const { index, result } = await arrivals.next();
      const { done, value } = await result;
      if (index % each === 0) for (let other = index + 1; other < index + each; other++) begin(other);
      if (done) open--;
      else {
        yield { index, piece: value };
        arrivals.ask(index);
      }
    }
  } finally {
    scope.abort(new ClientGone());
    await Promise.allSettled(answers.map((answer) => answer.return()));
  }
}

/** What comes of several answers, in the order of its coming. */
class Arrivals {
  readonly #arrived: Arrived[] = [];
  #wake = () => {};

  constructor(readonly answers: readonly Answer[]) {}

  /** Asks one of them for its next piece. */
  ask(index: number): void {
    const result = this.answers[index].next();
    const arrive = () => {
      this.#arrived.push({ index, result });
      this.#wake();
    };
    result.then(arrive, arrive);
  }

  async next(): Promise<Arrived> {
    while (this.#arrived.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#arrived.shift() as Arrived;
  }
}
