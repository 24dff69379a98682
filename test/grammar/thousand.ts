/**
 * `npm run test:schemas`: 1,000 random schemas, or as many as the first argument says, from the seed that the second one
 * says. Prints how the answers ended; the first one that is not what its schema describes ends the run, with its seed.
 */
import { Engine } from "../../src/index.js";
import { checkSeed, type Verdict } from "./answers.js";

const AT_ONCE = 8;
const [count = 1000, first = 10_000] = process.argv.slice(2).map(Number);

await using engine = await Engine.load(undefined, { backend: "cpu", contextLength: 1024, maxSessions: AT_ONCE });
const verdicts: Verdict[] = [];
let next = first;
const last = first + count;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (next < last) verdicts.push(await checkSeed(engine, next++, 1));
  }),
);
const ended = (reason: Verdict["reason"]) => verdicts.filter((verdict) => verdict.reason === reason).length;
const tokens = verdicts.reduce((sum, verdict) => sum + verdict.tokens, 0);
process.stdout.write(
  `${verdicts.length} schemas: ${ended("stop")} answers ended by themselves, each valid; ${ended("length")} cut by maxTokens, ` +
    `${ended("context")} by the context; ${ended("refused")} schemas describe nothing; ${tokens} tokens\n`,
);
