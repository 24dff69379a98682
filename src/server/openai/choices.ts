/**
 * The pieces of several answers to one request, each with the index of its choice. The first answer begins alone: when its
 * first piece is there its prompt is in the cache, and the others find it. Nothing more is asked of an answer before its
 * last piece was taken.
 */
import type { Piece } from "../../index.js";
import { ClientGone } from "../errors.js";

export interface ChoicePiece {
  readonly index: number;
  readonly piece: Piece;
}

type Answer = AsyncGenerator<Piece, void, undefined>;
interface Arrived {
  readonly index: number;
  readonly result: Promise<IteratorResult<Piece, void>>;
}

/** `scope` is that of the answers: where one fails the others end. */
export async function* choicePieces(
  answers: readonly Answer[],
  scope: AbortController,
): AsyncGenerator<ChoicePiece, void, undefined> {
  const arrivals = new Arrivals(answers);
  let begun = 0;
  try {
    arrivals.ask(begun++);
    for (let open = answers.length; open > 0; ) {
      const { index, result } = await arrivals.next();
      const { done, value } = await result;
      while (begun < answers.length) arrivals.ask(begun++);
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
