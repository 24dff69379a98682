/** Ranges of code points as sequences of ranges of bytes: what UTF-8 makes of them. */

/** One range for each byte, at most four. */
export type ByteRanges = readonly (readonly [first: number, last: number])[];

/** the last code point of one byte, of two, three and four */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** The byte sequences of the characters from `first` to `last`, of which none is a surrogate. */
export function byteSequences(first: number, last: number): ByteRanges[] {
  const sequences: ByteRanges[] = [];
  let from = first;
  for (const [i, end] of LAST_OF_LENGTH.entries()) {
    if (from > last) break;
    if (from > end) continue;
    const to = Math.min(last, end);
    split(from, to, i, sequences);
    from = to + 1;
  }
  return sequences;
}

/** Splits until the continuation bytes below those that differ take all their values. */
function split(first: number, last: number, continuations: number, into: ByteRanges[]): void {
  for (let i = 1; i <= continuations; i++) {
    const rest = (1 << (6 * i)) - 1;
    if ((first & ~rest) === (last & ~rest)) continue;
    if ((first & rest) !== 0) {
      split(first, first | rest, continuations, into);
      split((first | rest) + 1, last, continuations, into);
      return;
    }
    if ((last & rest) !== rest) {
      split(first, (last & ~rest) - 1, continuations, into);
      split(last & ~rest, last, continuations, into);
      return;
    }
  }
  const [a, b] = [bytesOf(first, continuations), bytesOf(last, continuations)];
  into.push(a.map((byte, i) => [byte, b[i]] as const));
}

function bytesOf(code: number, continuations: number): number[] {
  const lead = [0, 0xc0, 0xe0, 0xf0][continuations];
  const bytes = [lead | (code >> (6 * continuations))];
  for (let i = continuations - 1; i >= 0; i--) bytes.push(0x80 | ((code >> (6 * i)) & 0x3f));
  return bytes;
}
