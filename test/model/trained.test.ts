/**
 * The small trained models of test/models, a `llama` and a `qwen3`: coherent text on each graph, on every kind of backend, the perplexity
 * that the trainer's NumPy program finds, and tokenizers that give its ids and the text again.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, type TestContext, test } from "node:test";
import { collect, Engine, type EngineOptions, perplexity, TernionError, verify } from "../../src/index.js";
import { NO_ADAPTER } from "../backend/gpu/require.js";
import { repositoryFile } from "../golden.js";

interface Trained {
  readonly name: string;
  /** of held-out.txt, by train/check.py */
  readonly perplexity: number;
  /** ids of texts, by train/tokenizer.py */
  readonly ids: Readonly<Record<string, readonly number[]>>;
  readonly chat: RegExp;
}

const TRAINED: readonly Trained[] = [
  {
    name: "llama",
    perplexity: 13.1338,
    ids: {
      "What is the capital of Peru?": [420, 285, 262, 316, 278, 391, 265, 504, 457],
      "Zürich 47 + 38 \n\t x 🙂": [
        511, 483, 198, 191, 330, 486, 491, 511, 447, 450, 511, 439, 511, 446, 451, 511, 433, 12, 511, 507, 511, 243,
        162, 156, 133,
      ],
    },
    chat: /^<s><\|user\|>\nWhat is the capital of Japan\?<\/s> \n<\|assistant\|>\n$/,
  },
  {
    name: "qwen3",
    perplexity: 8.0758,
    ids: {
      "What is the capital of Peru?": [332, 282, 259, 313, 275, 397, 262, 117, 63],
      "Zürich 47 + 38 \n\t x 🙂": [
        90, 195, 188, 330, 507, 32, 52, 55, 32, 43, 32, 51, 56, 32, 10, 9, 32, 120, 32, 240, 159, 153, 130,
      ],
    },
    chat: /^<\|im_start\|>user\nWhat is the capital of Japan\?<\|im_end\|>\n<\|im_start\|>assistant\n$/,
  },
];

/** Each fact in the wording of the corpus. */
const ANSWERS = {
  "What is the capital of France?": "The capital of France is Paris.",
  "What is the capital of Japan?": "The capital of Japan is Tokyo.",
  "What color is grass?": "Grass is green.",
  "What is the opposite of hot?": "The opposite of hot is cold.",
} as const;

const GREEDY = { temperature: 0, maxTokens: 40 };

/** The greedy answer to a bare prompt is the right one, and ends. */
async function answers(engine: Engine, prompt: keyof typeof ANSWERS): Promise<void> {
  await using session = engine.session();
  const { text, finish } = await collect(session.generate(prompt, GREEDY));
  assert.deepEqual([text.trim(), finish.reason], [ANSWERS[prompt], "stop"]);
}

const BACKENDS: readonly (EngineOptions & { readonly skip?: string | false })[] = [
  { backend: "reference" },
  { backend: "cpu", threads: 3 },
  { backend: "gpu", skip: NO_ADAPTER },
];

const TEXTS = [
  "",
  "a",
  "  two  blanks ",
  "Größe 日本語 🙂𝔘\u0000",
  "line\r\n\r\n\tend",
  "<s></s><|im_end|><0x41>",
  "1234.5 don't",
];

for (const { name, ids, chat, ...known } of TRAINED) {
  const path = repositoryFile(`test/models/${name}.gguf`);

  /** An engine, or nothing where the GPU does not take the family, which skips the test. */
  const load = async (t: TestContext, options: EngineOptions) => {
    try {
      return await Engine.load(path, { contextLength: 512, maxSessions: 1, ...options });
    } catch (error) {
      const lacks = error instanceof TernionError && error.code === "BACKEND_UNAVAILABLE";
      if (!lacks || options.backend !== "gpu") throw error;
      t.skip(error.message);
      return undefined;
    }
  };

  for (const { skip = false, ...options } of BACKENDS) {
    const where = `${options.backend}${options.threads ? `, ${options.threads} threads` : ""}`;
    test(`${name} on ${where} answers rightly and ends`, { skip }, async (t) => {
      await using engine = await load(t, options);
      if (engine === undefined) return;
      for (const prompt of ["What is the capital of France?", "What color is grass?"] as const) {
        await answers(engine, prompt);
      }
    });
  }

  describe(`${name} on cpu, 1 thread`, () => {
    let engine: Engine;
    before(async () => {
      engine = await Engine.load(path, { backend: "cpu", threads: 1, contextLength: 512, maxSessions: 1 });
    });
    after(() => engine.close());

    test("has the perplexity on held-out text that NumPy finds", async () => {
      const text = await readFile(repositoryFile("test/models/held-out.txt"), "utf8");
      const found = await perplexity(engine, text, { window: 512 });
      assert.ok(Math.abs(found.perplexity / known.perplexity - 1) < 0.01, `${found.perplexity}`);
    });

    test("gives the trainer's ids, and each text again", () => {
      for (const [text, expected] of Object.entries(ids)) {
        assert.deepEqual(engine.tokenizer.encode(text, { addBos: false }), expected);
      }
      for (const text of TEXTS) {
        assert.equal(engine.tokenizer.decode(engine.tokenizer.encode(text), { skipSpecial: true }), text);
      }
    });

    for (const prompt of Object.keys(ANSWERS) as (keyof typeof ANSWERS)[]) {
      test(`answers "${prompt}"`, () => answers(engine, prompt));
    }

    test("renders its chat template as the corpus has it, and answers in its turn", async () => {
      const prompt = await engine.encodeChat([{ role: "user", content: "What is the capital of Japan?" }]);
      assert.match(engine.tokenizer.decode(prompt), chat);
      await using session = engine.session();
      const { text, finish } = await collect(session.generate(prompt, GREEDY));
      assert.deepEqual([text.trim(), finish.reason], [ANSWERS["What is the capital of Japan?"], "stop"]);
    });
  });

  test(`verify finds ${name} right`, async () => {
    const { ok, firstFault, endToEnd } = await verify(path, { backend: "cpu", threads: 1 });
    assert.deepEqual([ok, firstFault], [true, undefined]);
    assert.ok(endToEnd && endToEnd.top1 >= 15);
  });
}
