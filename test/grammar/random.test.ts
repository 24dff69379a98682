/** Random schemas: every answer that ends by itself parses, and is what its schema describes. `npm run test:schemas` has 1,000. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Engine } from "../../src/index.js";
import { checkSeed, type Verdict } from "./answers.js";

const SCHEMAS = 60;
const AT_ONCE = 6;

test(`${SCHEMAS} random schemas`, async () => {
  await using engine = await Engine.load(undefined, { backend: "cpu", contextLength: 512, maxSessions: AT_ONCE });
  const verdicts: Verdict[] = [];
  for (let seed = 0; seed < SCHEMAS; seed += AT_ONCE) {
    const seeds = Array.from({ length: AT_ONCE }, (_, i) => seed + i);
    verdicts.push(...(await Promise.all(seeds.map((each) => checkSeed(engine, each)))));
  }
  const ended = verdicts.filter(({ reason }) => reason === "stop").length;
  assert.ok(ended >= SCHEMAS * 0.8, `${ended} of ${SCHEMAS} answers ended by themselves`);
});
