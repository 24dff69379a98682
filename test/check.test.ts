/** Every public function refuses a wrong argument with one clear error before it does anything. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  BITNET_CHAT_TEMPLATE,
  collect,
  createTokenizer,
  diagnose,
  download,
  Engine,
  measureReport,
  modelSummary,
  openHead,
  perplexity,
  readGguf,
  renderChat,
  renderHtml,
  renderMarkdown,
  repairFile,
  repairMetadata,
  type Session,
  verify,
} from "../src/index.js";
import { repositoryFile } from "./golden.js";

const TINY = repositoryFile("test/golden/tiny/model.gguf");
const HELLO = [{ role: "user", content: "Hello" }];
const SHORT = { temperature: 0, maxTokens: 2 };

/** What a caller in JavaScript may pass. */
// biome-ignore lint/suspicious/noExplicitAny: wrong types are what is tested
type Anything = any;

type Mistake = readonly [call: string, make: () => unknown, error: string | RegExp];

let engine: Engine;
let session: Session;
before(async () => {
  engine = await Engine.load(TINY, { threads: 1, backend: "cpu" });
  session = engine.session();
});
after(() => engine.close());

const load = (options: Anything) => Engine.load(TINY, options);
const generate = (options: Anything, prompt: Anything = "x") => collect(session.generate(prompt, options));
const chat = (options: Anything, messages: Anything = HELLO) => collect(session.chat(messages, options));
const render = (options: Anything) => renderChat(HELLO, options);

const IDS = "expected an array, Int32Array or Uint32Array of token ids, got";

const MISTAKES: readonly Mistake[] = [
  ["load null", () => load(null), "TypeError: options: expected an object, got null"],
  ["load []", () => load([]), "TypeError: options: expected an object, got an array"],
  [
    "load 5",
    () => Engine.load(5 as Anything),
    "TypeError: model: expected a path, a URL, a Blob, bytes or a ByteSource, got number 5",
  ],
  [
    "load of null",
    () => Engine.load(null as Anything),
    "TypeError: model: expected a path, a URL, a Blob, bytes or a ByteSource, got null",
  ],
  ["load of nothing", () => Engine.load(""), 'RangeError: model: expected at least one character, got ""'],
  ["load signal", () => load({ signal: {} }), "TypeError: signal: expected an AbortSignal, got an object"],
  [
    "load controller",
    () => load({ signal: new AbortController() }),
    "TypeError: signal: expected an AbortSignal, got an object of class AbortController",
  ],
  ["load onProgress", () => load({ onProgress: 5 }), "TypeError: onProgress: expected a function, got number 5"],
  ["load threads", () => load({ threads: "2" }), 'TypeError: threads: expected a number, got string "2"'],
  ["load threads 257", () => load({ threads: 257 }), "RangeError: threads: expected an integer from 1 to 256, got 257"],
  ["load batch", () => load({ batchSize: 1.5 }), "RangeError: batchSize: expected an integer from 1 to 4096, got 1.5"],
  ["load backend", () => load({ backend: 1 }), /cpu or gpu or reference, got number 1/],
  [
    "load kernel",
    () => load({ tuning: { kernel: "x" } }),
    /^RangeError: tuning.kernel: expected ternaryDot16 or .*, got "x"/,
  ],
  ["load kv", () => load({ tuning: { kv: "f16" } }), 'RangeError: tuning.kv: expected f32 or i16, got "f16"'],
  [
    "load head",
    () => load({ tuning: { head: "i8" } }),
    'RangeError: tuning.head: expected exact or f16 or int8, got "i8"',
  ],
  ["load tuning", () => load({ tuning: null }), "TypeError: tuning: expected an object, got null"],
  [
    "load tuning.cacheType",
    () => load({ tuning: { cacheType: "f32" } }),
    "TypeError: tuning.cacheType: no such option; did you mean tuning.kv?",
  ],
  [
    "load tuning.threads",
    () => load({ tuning: { threads: 1 } }),
    "TypeError: tuning.threads: no such option; expected one of kv, head, kernel, revectorize",
  ],
  ["load strict", () => load({ strict: "yes" }), 'TypeError: strict: expected true or false, got string "yes"'],
  ["load adapter", () => load({ adapter: "" }), 'RangeError: adapter: expected at least one character, got ""'],
  ["overflow", () => generate({ overflow: "Shift" }), 'RangeError: overflow: expected stop or shift, got "Shift"'],
  ["overflow true", () => generate({ overflow: true }), /^TypeError: overflow: expected stop or shift, got boolean/],
  ["stop 5", () => generate({ stop: 5 }), "TypeError: stop: expected a string or an array of strings, got number 5"],
  ["stop [5]", () => generate({ stop: ["a", 5] }), "TypeError: stop[1]: expected a string, got number 5"],
  ["signal", () => generate({ signal: {} }), "TypeError: signal: expected an AbortSignal, got an object"],
  ["options null", () => generate(null), "TypeError: options: expected an object, got null"],
  [
    "no prompt",
    () => collect(session.generate(undefined as Anything)),
    "TypeError: prompt: expected a string or an array of token ids, got undefined",
  ],
  ["prompt null", () => generate({}, null), "TypeError: prompt: expected a string or an array of token ids, got null"],
  ["prompt of strings", () => generate({}, ["1"]), "RangeError: prompt[0]: expected an id from 0 to 319, got 1"],
  [
    "prompt of bigints",
    () => generate({}, BigInt64Array.of(1n)),
    `TypeError: prompt: ${IDS} an object of class BigInt64Array`,
  ],
  [
    "prompt of floats",
    () => generate({}, Float32Array.of(1)),
    `TypeError: prompt: ${IDS} an object of class Float32Array`,
  ],
  [
    "logitBias",
    () => generate({ logitBias: [1] }),
    /^TypeError: logitBias: expected a Map or an object of .*got an array/,
  ],
  ["ignoreEnd", () => generate({ ignoreEnd: 1 }), "TypeError: ignoreEnd: expected true or false, got number 1"],
  ["no messages", () => chat({}, null), "TypeError: messages: expected an array, got null"],
  [
    "message",
    () => chat({}, [{ role: "user" }]),
    "TypeError: messages[0].content: expected a string, an array of parts or null, got undefined",
  ],
  ["chat null", () => chat(null), "TypeError: options: expected an object, got null"],
  ["score", () => session.score(5 as Anything), `TypeError: ids: ${IDS} number 5`],
  ["score null", () => session.score([1], null as Anything), "TypeError: options: expected an object, got null"],
  ["trace", () => engine.trace("x" as Anything), `TypeError: ids: ${IDS} string "x"`],
  [
    "trace length",
    () => engine.trace([1], { promptLength: -1 }),
    "RangeError: promptLength: expected an integer of 0 or more, got -1",
  ],
  ["selfCheck", () => engine.selfCheck(null as Anything), "TypeError: options: expected an object, got null"],
  ["perplexity", () => perplexity(engine, 5 as Anything), /^TypeError: text: expected a string or .*, got number 5/],
  [
    "perplexity of ids",
    () => perplexity(engine, [1, 999]),
    "RangeError: text[1]: expected an id from 0 to 319, got 999",
  ],
  ["perplexity engine", () => perplexity(5 as Anything, "x"), "TypeError: engine: expected an Engine, got number 5"],
  [
    "perplexity window",
    () => perplexity(engine, "x", { window: "2" as Anything }),
    'TypeError: window: expected a number, got string "2"',
  ],
  ["encode", () => engine.tokenizer.encode(5 as Anything), "TypeError: text: expected a string, got number 5"],
  ["decode", () => engine.tokenizer.decode("x" as Anything), /^TypeError: ids: expected an array .* got string "x"/],
  ["tokenizer", () => createTokenizer({} as Anything), /^TypeError: metadata: expected a Map .*, got an object/],
  ["open", () => openHead(TINY, { strict: 1 } as Anything), "TypeError: strict: expected true or false, got number 1"],
  ["repairs", () => repairMetadata(5 as Anything), /^TypeError: metadata: expected a Map .*, got number 5/],
  ["renderChat", () => render(undefined), "TypeError: options: expected an object, got undefined"],
  ["renderChat {}", () => render({}), "TypeError: template: expected a string, got undefined"],
  ["readGguf", () => readGguf(5 as Anything), /^TypeError: model: expected a path, .* or a ByteSource, got number 5/],
  ["summary", () => modelSummary(TINY, undefined as Anything), /^TypeError: config: expected .*, got undefined/],
  ["verify", () => verify(TINY, { tokens: 5 as Anything }), `TypeError: tokens: ${IDS} number 5`],
  [
    "verify dump",
    () => verify(TINY, { against: 5 as Anything }),
    "TypeError: against: expected a string, got number 5",
  ],
  [
    "report",
    () => measureReport(TINY, { contexts: 5 as Anything }),
    /^TypeError: contexts: expected an array .*number 5/,
  ],
  [
    "report context",
    () => measureReport(TINY, { contexts: [0] }),
    "RangeError: contexts[0]: expected an integer of 1 or more, got 0",
  ],
  [
    "report of nothing",
    () => measureReport(undefined as Anything),
    "TypeError: path: expected a string, got undefined",
  ],
  ["markdown", () => renderMarkdown(undefined as Anything), /^TypeError: data: expected .*, got undefined/],
  ["html", () => renderHtml(5 as Anything), /^TypeError: data: expected .*, got number 5/],
  ["doctor", () => diagnose(null as Anything), "TypeError: options: expected an object, got null"],
  ["doctor model", () => diagnose({ model: 5 as Anything }), "TypeError: model: expected a string, got number 5"],
  ["repair", () => (repairFile as Anything)(TINY), "TypeError: to: expected a string, got undefined"],
  [
    "repair force",
    () => repairFile(TINY, "out.gguf", { force: "no" as Anything }),
    'TypeError: force: expected true or false, got string "no"',
  ],
  [
    "download",
    () => download(TINY, { cacheDirectory: 5 as Anything }),
    "TypeError: cacheDirectory: expected a string, got number 5",
  ],
  ["collect", () => collect(5 as Anything), /^TypeError: pieces: expected .*, got number 5/],
];

/** name given → name suggested */
const MISSPELT = {
  max_tokens: "maxTokens",
  maxtokens: "maxTokens",
  max_new_tokens: "maxTokens",
  n_predict: "maxTokens",
  temprature: "temperature",
  Temperature: "temperature",
  top_p: "topP",
  topp: "topP",
  min_p: "minP",
  repeat_penalty: "repetitionPenalty",
  stopSequences: "stop",
  stops: "stop",
  abortSignal: "signal",
  n_keep: "keepTokens",
  logit_bias: "logitBias",
};
const MISSPELT_AT_LOAD = {
  n_ctx: "contextLength",
  contextlength: "contextLength",
  n_threads: "threads",
  thread: "threads",
  kv: "tuning.kv",
  cache_type_k: "tuning.kv",
  head: "tuning.head",
  kernel: "tuning.kernel",
  revectorise: "tuning.revectorize",
};

describe("wrong arguments", () => {
  for (const [call, make, error] of MISTAKES) {
    it(call, async () => {
      await assert.rejects(
        async () => make(),
        (thrown: Error) => {
          const said = `${thrown.name}: ${thrown.message}`;
          if (typeof error === "string") assert.equal(said, error);
          else assert.match(said, error);
          return true;
        },
      );
    });
  }

  it("generate and chat throw at the call, and leave the session free", async () => {
    assert.throws(() => session.generate("x", { maxTokens: -1 }), RangeError);
    assert.throws(() => session.chat(HELLO, { topP: 2 }), RangeError);
    assert.equal((await generate(SHORT)).ids.length, 2);
  });
});

describe("names of options", () => {
  it("that do not exist are refused with the one that was meant", () => {
    for (const [name, meant] of Object.entries(MISSPELT)) {
      const message = `${name}: no such option; did you mean ${meant}?`;
      assert.throws(() => session.generate("x", { [name]: 1 }), { name: "TypeError", message });
    }
  });

  it("are those of the function", async () => {
    for (const [name, meant] of Object.entries(MISSPELT_AT_LOAD)) {
      const message = `${name}: no such option; did you mean ${meant}?`;
      await assert.rejects(load({ [name]: 1 }), { name: "TypeError", message });
    }
    await assert.rejects(
      load({ temperature: 1 }),
      /^TypeError: temperature: no such option; expected one of backend, threads/,
    );
    await assert.rejects(load({ constructor: 1 }), /^TypeError: constructor: no such option; expected one of/);
    await assert.rejects(perplexity(engine, "x", { n_ctx: 5 } as Anything), /did you mean window\?/);
    await assert.rejects(verify(TINY, { contextLength: 5 } as Anything), /^TypeError: contextLength: no such option/);
    assert.throws(
      () => engine.tokenizer.encode("x", { add_special_tokens: true } as Anything),
      /did you mean addBos\?/,
    );
    await assert.rejects(
      render({ template: BITNET_CHAT_TEMPLATE, bos: "x" }),
      /did you mean bosToken\?|expected one of/,
    );
  });

  it("may be undefined, whatever they are", async () => {
    const options = { ...SHORT, stop: undefined, seed: undefined, max_tokens: undefined };
    assert.equal((await generate(options)).ids.length, 2);
  });
});

describe("options", () => {
  it("may come from a class or a prototype, and later changes do not matter", async () => {
    class Options {
      temperature = 0;
      get maxTokens() {
        return 3;
      }
    }
    assert.equal((await generate(new Options())).ids.length, 3);
    assert.equal((await generate(Object.create(SHORT))).ids.length, 2);
    const options = { temperature: 0, maxTokens: 2 };
    const pieces = session.generate("x", options);
    options.maxTokens = 9;
    assert.equal((await collect(pieces)).ids.length, 2);
  });

  it("ids may be typed arrays", async () => {
    const ids = engine.tokenizer.encode("Hello");
    const { text } = await generate(SHORT, ids);
    for (const Type of [Int32Array, Uint32Array]) {
      assert.equal((await generate(SHORT, Type.from(ids))).text, text);
      assert.deepEqual(await session.score(Type.from(ids)), await session.score(ids));
      assert.equal((await engine.trace(Type.from(ids))).get("embd")?.rows, ids.length);
    }
  });
});
