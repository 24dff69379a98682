/** Answers of the model in the box to random schemas, each held against Ajv. */
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { collect, type Engine, type Finish, TernionError } from "../../src/index.js";
import { type JsonSchema, randomSchema } from "./schemas.js";

/** Fresh each time: schemas of other seeds are other schemas. */
function validator(schema: JsonSchema) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  // the package is CommonJS, whose types take its namespace for the function
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  return ajv.compile(schema);
}

export interface Verdict {
  readonly reason: Finish["reason"] | "refused";
  readonly tokens: number;
}

/** Of one answer, and of one more where that was cut: drawn to its end as strongly as may be, and longer. */
const TRIES = [
  { maxTokens: 300, bias: 8 },
  { maxTokens: 1000, bias: 40 },
];

/** Throws where an answer that ended by itself is not what the schema describes, with all that is needed to repeat it. */
export async function checkSeed(engine: Engine, seed: number, mostAgain = 0): Promise<Verdict> {
  const schema = randomSchema(seed);
  await using session = engine.session();
  try {
    for (const [again, { maxTokens, bias }] of TRIES.entries()) {
      // a model of this size goes on without end where it may: most answers are drawn towards their end
      const logitBias = seed % 4 === 0 && again === 0 ? undefined : towardsEnd(engine, bias);
      const options = { schema, seed, maxTokens, temperature: seed % 3 === 0 ? 0 : 1, logitBias };
      const { text, finish } = await collect(session.generate("Once upon a time", options));
      if (finish.reason === "stop") judge(schema, text, seed);
      else if (again < mostAgain) continue;
      return { reason: finish.reason, tokens: finish.usage.completionTokens };
    }
    return assert.fail("the last try returns");
  } catch (error) {
    // a schema that describes nothing is one of the possible ones
    if (error instanceof TernionError && /no text satisfies it/.test(error.message))
      return { reason: "refused", tokens: 0 };
    throw new Error(`seed ${seed}: ${error}\n${JSON.stringify(schema)}`, { cause: error });
  }
}

function towardsEnd({ tokenizer }: Engine, bias: number): Map<number, number> {
  const closing = ['"', "}", "]", '"}', '"]', '",', "]}"].map((text) => tokenizer.encode(text, { addBos: false }));
  const ids = [...closing.filter(({ length }) => length === 1).flat(), ...tokenizer.stopIds];
  return new Map(ids.map((id) => [id, bias]));
}

function judge(schema: JsonSchema, text: string, seed: number): void {
  const value: unknown = JSON.parse(text);
  const validate = validator(schema);
  assert.ok(validate(value), `seed ${seed}: ${text}\n${JSON.stringify(validate.errors)}\n${JSON.stringify(schema)}`);
}
