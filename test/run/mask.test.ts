/** A mask of tokens reaches whoever chooses, backend or host, and the choice is the same. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, type GenerateOptions } from "../../src/index.js";
import { type Generation, generate } from "../../src/run/generate.js";
import { someIds } from "../engine/engines.js";
import { type Parts, type PartsOptions, withParts } from "./ahead.js";

const VOCABULARY = 320;
const HOT = { temperature: 14, topK: 40, topP: 1, minP: 0, seed: 3, ignoreEnd: true, maxTokens: 15 } as const;
const PROMPT = someIds(6);

type Mask = NonNullable<Generation["mask"]>;

/** Of every position another few dozen ids, of some positions all. */
const few: Mask = (position) => {
  if (position % 5 === 0) return undefined;
  const mask = new Uint32Array(VOCABULARY / 32);
  for (let id = position % 7; id < VOCABULARY; id += 7) mask[id >> 5] |= 1 << (id & 31);
  return mask;
};
const only = (id: number): Mask => {
  const mask = new Uint32Array(VOCABULARY / 32);
  mask[id >> 5] |= 1 << (id & 31);
  return () => mask;
};

function answer({ timeline, tokenizer }: Parts, options: GenerateOptions, mask: Mask, prompt = PROMPT) {
  const prepare = async () => ({ prompt, keepTokens: 0 });
  return generate(timeline(), tokenizer, { ...options, mask, prepare });
}

async function ids(parts: PartsOptions, options: GenerateOptions, mask: Mask): Promise<number[]> {
  return withParts(parts, async (each) => (await collect(answer(each, options, mask))).ids);
}

/** Of all logits, chosen on the host. */
const PLAIN: PartsOptions = { runsAhead: 1, head: "full" };
const WAYS: readonly PartsOptions[] = [
  { runsAhead: 1 },
  { runsAhead: 4 },
  { runsAhead: 4, head: "full" },
  { runsAhead: 1, backend: "cpu", maxRows: 2 },
];

describe("only allowed ids are chosen, the same ones by backend and host", () => {
  for (const options of [{}, { temperature: 0 }, { logprobs: 1 }, { presencePenalty: 20 }, { topK: 0 }, { topK: 3 }]) {
    test(JSON.stringify(options), async () => {
      const all = { ...HOT, ...options };
      const want = await ids(PLAIN, all, few);
      assert.equal(want.length, HOT.maxTokens);
      for (const [i, id] of want.entries()) {
        const position = PROMPT.length + i;
        assert.ok(position % 5 === 0 || id % 7 === position % 7, `${id} at ${position}`);
      }
      assert.notDeepEqual(await ids(PLAIN, all, () => undefined), want);
      for (const way of WAYS) assert.deepEqual(await ids(way, all, few), want, JSON.stringify(way));
      assert.deepEqual(await ids({ runsAhead: 4 }, { ...all, maxTokens: 3 }, only(311)), [311, 311, 311]);
    });
  }
});

test("a mask is asked for once all ids before its position are out, and is the answer's own", async () => {
  await withParts({ runsAhead: 4 }, async (parts) => {
    const asked: number[] = [];
    let out = 0;
    const mask: Mask = (position) => {
      asked.push(position);
      assert.equal(position, PROMPT.length + out);
      return few(position);
    };
    const beside = collect(parts.session().generate(PROMPT, { ...HOT, maxTokens: 30 }));
    for await (const { id } of answer(parts, HOT, mask)) if (id !== undefined) out++;
    assert.deepEqual(
      asked,
      Array.from({ length: HOT.maxTokens }, (_, i) => PROMPT.length + i),
    );
    const alone = await collect(parts.session().generate(PROMPT, { ...HOT, maxTokens: 30 }));
    assert.deepEqual((await beside).ids, alone.ids);
  });
});

test("positions of a mask count on over shifts", async () => {
  await withParts({ runsAhead: 1, contextLength: 12 }, async (parts) => {
    const asked: number[] = [];
    const mask: Mask = (position) => {
      asked.push(position);
      return few(position);
    };
    await collect(answer(parts, { ...HOT, overflow: "shift", maxTokens: 20 }, mask));
    assert.deepEqual(
      asked,
      Array.from({ length: 20 }, (_, i) => PROMPT.length + i),
    );
  });
});

describe("a mask that is none ends its own answer only", () => {
  const mistakes: readonly [string, Mask, RegExp][] = [
    ["of another vocabulary", () => Uint32Array.of(1), /^RangeError: mask: expected 10 words/],
    ["that allows nothing", () => new Uint32Array(VOCABULARY / 32), /^RangeError: mask: expected at least one/],
    ["that throws", () => assert.fail("not today"), /not today/],
  ];
  for (const [name, mask, message] of mistakes) {
    test(name, async () => {
      for (const way of WAYS) {
        for (const options of [HOT, { ...HOT, logprobs: 0 }]) {
          await withParts(way, async (parts) => {
            const beside = collect(parts.session().generate(PROMPT, HOT));
            await assert.rejects(collect(answer(parts, options, mask)), (error) => message.test(String(error)));
            assert.equal((await beside).ids.length, HOT.maxTokens);
          });
        }
      }
    });
  }
});
