/** What a caller may ask an answer to be, and the checks of it that need no look inside. */
import * as check from "../check.js";

/** At most one of them. */
export interface Shape {
  /**
   * JSON schema: the answer is JSON that it describes, without blanks between the parts; `{}` is any JSON. A keyword that is
   * not honoured is an error with code GRAMMAR that names it.
   */
  readonly schema?: object | undefined;
  /** EBNF as llama.cpp and XGrammar write it: the answer is what its rule `root` describes */
  readonly grammar?: string | undefined;
  /** regular expression of JavaScript that the whole answer matches */
  readonly regex?: string | undefined;
}

export const SHAPE_CHECKS: check.OptionChecks<Shape> = {
  schema: check.object("a JSON schema, an object"),
  grammar: check.filled,
  regex: check.filled,
};

const NAMES = Object.keys(SHAPE_CHECKS) as (keyof Shape)[];

/** The shape among `options`, if there is one. Throws where there are two, or one that never ends. */
export function shapeOf(options: Shape & { readonly ignoreEnd?: boolean | undefined }): Shape | undefined {
  const [name, other] = NAMES.filter((each) => options[each] !== undefined);
  if (name === undefined) return undefined;
  if (other !== undefined) throw new TypeError(`${other}: expected one of ${NAMES.join(", ")}, got ${name} too`);
  if (options.ignoreEnd)
    throw new TypeError(`ignoreEnd: expected false with ${name}, which says where the answer ends`);
  return { [name]: options[name] };
}
