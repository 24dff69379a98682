/**
 * A tokenizer.json that was made from a SentencePiece model (BPE with byte fallback): its list of merges → a score for each
 * piece. SentencePiece merges whatever pair makes a piece, the one of the highest score first; transformers' converter lists
 * all these pairs in that order (`convert_slow_tokenizer.py`, `generate_merges`). So the scores follow from the list; a list
 * that lacks such a pair is of another kind, and is refused.
 */
import { isRecord } from "../check.js";
import { TernionError } from "../errors.js";
import type { GgufKeyValue } from "../gguf/write.js";
import { flag } from "./entries.js";
import { type JsonObject, shown } from "./folder.js";

/** How text is spelled, and what becomes of it: keys `tokenizer.ggml.*`. */
export interface Spelling {
  /** tokenizer.ggml.model */
  readonly model: "gpt2" | "llama";
  readonly keys: readonly GgufKeyValue[];
}

interface Pieces {
  /** by id */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [left: string, right: string])[];
  /** whether text can become it */
  isPlain(id: number): boolean;
}

const BLANK = "\u2581";

export function scoredSpelling(file: JsonObject, pieces: Pieces): Spelling {
  const values = scoresOf(file, pieces);
  return {
    model: "llama",
    keys: [
      { key: "tokenizer.ggml.scores", type: "ARRAY", value: { type: "F32", values } },
      flag("tokenizer.ggml.add_space_prefix", addsSpace(file)),
    ],
  };
}

/** Minus the place of the first merge that makes the piece, among all pieces that merges make. */
function scoresOf(file: JsonObject, { tokens, merges, isPlain }: Pieces): Float32Array<ArrayBuffer> {
  const places = new Map<string, number>();
  const listed = new Set<string>();
  for (const [left, right] of merges) {
    const result = left + right;
    if (!places.has(result)) places.set(result, places.size);
    listed.add(`${left} ${right}`);
  }
  const plain = new Set(tokens.filter((_, id) => isPlain(id)));
  for (const piece of plain) {
    for (let cut = 1; cut < piece.length; cut++) {
      const [left, right] = [piece.slice(0, cut), piece.slice(cut)];
      if (plain.has(left) && plain.has(right) && !listed.has(`${left} ${right}`)) throw otherKind(file, left, right);
    }
  }
  return Float32Array.from(tokens, (piece) => -(places.get(piece) ?? 0));
}

function otherKind({ path }: JsonObject, left: string, right: string): TernionError {
  return new TernionError(
    "TOKENIZER",
    `${path}: merges: expected every pair that makes a token, as SentencePiece has them, ` +
      `got no ${shown([left, right])}. Use a GGUF file of this model.`,
  );
}

/** Blanks become U+2581, one of which comes first where it is `true`; any other way to bring text into form is refused. */
function addsSpace(file: JsonObject): boolean {
  const steps = [
    ...stepsOf(file.any("normalizer"), "normalizers"),
    ...stepsOf(file.any("pre_tokenizer"), "pretokenizers"),
  ];
  let adds = false;
  for (const step of steps) {
    const { type, prepend, replacement, prepend_scheme: scheme, add_prefix_space: prefix, split } = step;
    const { pattern, content } = step;
    if (type === "Prepend" && prepend === BLANK) adds = true;
    else if (type === "Metaspace" && replacement === BLANK && split === false) {
      adds = scheme === undefined ? prefix === true : scheme !== "never";
    } else if (!(type === "Replace" && isRecord(pattern) && pattern.String === " " && content === BLANK)) {
      throw new TernionError(
        "TOKENIZER",
        `${file.path}: expected the forms of SentencePiece (Prepend, Replace, Metaspace), got ${shown(step)}. ` +
          "Use a GGUF file of this model.",
      );
    }
  }
  return adds;
}

function stepsOf(step: unknown, inner: string): readonly Readonly<Record<string, unknown>>[] {
  if (!isRecord(step)) return [];
  const steps = step[inner];
  return step.type === "Sequence" && Array.isArray(steps) ? steps.filter(isRecord) : [step];
}
