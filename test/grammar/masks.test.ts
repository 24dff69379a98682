/** Masks against the plain definition: an id is allowed if the text may go on with its bytes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { createTokenizer } from "../../src/engine/text.js";
import { Grammars } from "../../src/grammar/grammar.js";
import type { Matcher } from "../../src/grammar/matcher.js";
import type { Shape } from "../../src/grammar/shape.js";
import { node } from "../../src/platform/node.js";
import { boxModel } from "../../src/platform/package.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";
import { Random } from "../random.js";
import { randomSchema } from "./schemas.js";

const tokenizer = createTokenizer((await readGguf(boxModel())).metadata);

/** By a matcher that is asked for nothing but whether a text is allowed, from the beginning, for each id. */
async function plainMask(shape: Shape, before: string, tokens: Tokenizer): Promise<boolean[]> {
  const grammars = new Grammars(tokens, node.nextTurn);
  const start = await grammars.matcher(shape);
  start.mask();
  assert.ok(start.acceptText(before));
  return Array.from({ length: tokens.size }, (_, id) => {
    if (tokens.stopIds.has(id)) return start.accepts;
    return !tokens.isSpecial(id) && start.allows(tokens.bytes(id));
  });
}

const isAllowed = (mask: Uint32Array, id: number) => ((mask[id >>> 5] >>> (id & 31)) & 1) === 1;

/** Follows random allowed ids, and holds the masks of some steps against the plain ones. */
async function compare(shape: Shape, seed: number): Promise<number> {
  const random = new Random(seed);
  const matcher: Matcher = await new Grammars(tokenizer, node.nextTurn).matcher(shape);
  let text = "";
  let compared = 0;
  for (let step = 0; step < 40 && !matcher.done; step++) {
    const mask = matcher.mask();
    if (step % 5 === 0 && !text.includes("\ufffd")) {
      const plain = await plainMask(shape, text, tokenizer);
      for (const [id, allowed] of plain.entries()) {
        assert.equal(isAllowed(mask, id), allowed, `${JSON.stringify(text)} + ${tokenizer.piece(id)}`);
      }
      compared++;
    }
    const ids = Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) => {
      return isAllowed(mask, id) && !tokenizer.isSpecial(id) && !tokenizer.decode([id]).includes("\ufffd");
    });
    if (ids.length === 0) break;
    const id = random.pick(ids);
    matcher.accept(id);
    text += tokenizer.decode([id]);
  }
  return compared;
}

describe("masks are what their definition says", () => {
  const shapes: readonly Shape[] = [
    { regex: "(ab|a)*c{2,9}[a-z ]{3,40}" },
    { regex: "[\\s\\S]{0,30}" },
    { regex: "([a-z]{1,3} ){2,6}\\." },
    { grammar: 'root ::= "(" root ")" root | [a-z ]*' },
    { grammar: 'root ::= ("the " | "there " | "then ")+ "end"' },
    { grammar: "root ::= w w\nw ::= [a-z]+ [a-z .]*" },
    { schema: { type: "array", items: { type: "array", items: { type: "string", maxLength: 6 }, maxItems: 3 } } },
    { schema: { type: "string", minLength: 12, maxLength: 14 } },
    { schema: {} },
    { schema: { type: "array", items: { type: "string", pattern: "^[a-z .]+$", minLength: 3, maxLength: 90 } } },
    { schema: { type: "string", pattern: "^(?:[a-z]{3})+!?$", minLength: 13, maxLength: 13 } },
    { regex: "(?!.*the)(?=.*e)[a-z ]{3,60}" },
  ];
  for (const shape of shapes) {
    test(JSON.stringify(shape), async () => {
      assert.ok((await compare(shape, 1)) + (await compare(shape, 2)) >= 2);
    });
  }
  test("random schemas", async () => {
    for (let seed = 2000; seed < 2008; seed++) await compare({ schema: randomSchema(seed) }, seed);
  });
});
