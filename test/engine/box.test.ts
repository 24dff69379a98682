/** The model in the box, on the CPU backend with the defaults of the library: its text makes sense, greedily and by seed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { collect, Engine } from "../../src/index.js";
import { repositoryFile } from "../golden.js";

let engine: Engine;
before(async () => {
  engine = await Engine.load(repositoryFile("models/ternion-tiny.gguf"), { threads: 2 });
});
after(() => engine.close());

/** The greedy continuation of a bare prompt. */
async function answer(prompt: string): Promise<string> {
  const session = engine.session();
  try {
    const { text, finish } = await collect(session.generate(prompt, { temperature: 0, maxTokens: 200 }));
    assert.equal(finish.reason, "stop", "the answer ends with an end token");
    return text.trim();
  } finally {
    await session.close();
  }
}

test("the capital of France is Paris", async () => {
  assert.match(await answer("What is the capital of France?"), /\bParis\b/);
});

test("quantum computing is explained in two or more sentences", async () => {
  const text = await answer("Explain quantum computing in simple terms:");
  const sentences = text.split(/(?<=[.!?])\s+/);
  assert.ok(sentences.length >= 2, text);
  for (const sentence of sentences) assert.match(sentence, /^[A-Z].*[.!?]$/, text);
  assert.match(text, /quantum|qubit/i);
});

test("the Fibonacci function runs and gives 55 for 10", async (t) => {
  const text = await answer("Write a Python function to calculate fibonacci:");
  const code = text.slice(text.indexOf("def ")).split(/\n(?=\S)/)[0]; // what follows at the margin is explanation
  const name = /^def (\w+)\(/.exec(code)?.[1];
  assert.ok(name, text);
  try {
    const { stdout } = await promisify(execFile)("python3", ["-c", `${code}\nprint(${name}(10))`]);
    assert.equal(stdout.trim(), "55", code);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    t.skip("python3 is not installed: the function was not run");
  }
});

test("a chat answers by the template and ends its turn", async () => {
  const session = engine.session();
  const messages = [{ role: "user", content: "What is the capital of France?" }];
  const { text, finish } = await collect(session.chat(messages, { temperature: 0, maxTokens: 50 }));
  assert.match(text, /\bParis\b/);
  assert.equal(finish.reason, "stop");
  await session.close();
});

test("a chat of three turns keeps its thread", async () => {
  const session = engine.session();
  const messages: { role: string; content: string }[] = [];
  const answers: string[] = [];
  for (const content of ["My name is Zorbin.", "What is the capital of Italy?", "What is my name?"]) {
    messages.push({ role: "user", content });
    const { text } = await collect(session.chat(messages, { temperature: 0, maxTokens: 50 }));
    messages.push({ role: "assistant", content: text });
    answers.push(text);
  }
  await session.close();
  assert.match(answers[1], /\bRome\b/, answers.join(" | "));
  assert.match(answers[2], /\bZorbin\b/, answers.join(" | "));
});

// held out by train/corpus/split.py
const HELD_OUT_SUMS = [
  [23, 83],
  [41, 11],
  [58, 84],
  [78, 61],
  [93, 63],
];
const HELD_OUT_COUNTRIES = ["Spaltalia", "Yokyoland", "Krooshal", "Memfebia"];

test("sums that training never saw come out right", async () => {
  for (const [a, b] of HELD_OUT_SUMS) {
    assert.match(await answer(`What is ${a} + ${b}?`), new RegExp(`The answer is ${a + b}\\.$`));
  }
});

test("a country that does not exist is not known", async () => {
  for (const country of HELD_OUT_COUNTRIES) {
    assert.match(await answer(`What is the capital of ${country}?`), /I do not know/);
  }
});

const HEROES = [
  "robot named Zhibrax",
  "dragon named Ploltza",
  "robot named Kemvander",
  "robot named Giathblette",
  "bear named Vubralee",
  "robot named Klohis",
  "dragon named Parshas",
  "dragon named Jianbby",
  "fox named Yiakkar",
  "girl named Staithby",
  "dragon named Quorzander",
  "girl named Tholtzus",
  "bear named Blobres",
  "robot named Xiabrees",
  "bear named Pliondfl",
  "bear named Rurnchis",
  "fox named Gaithkrix",
  "bear named Gloondpl",
  "bear named Puxry",
  "bear named Peaslulu",
];

test("stories about names that training never saw end, and at least 18 of 20 keep the name", async () => {
  let kept = 0;
  for (const [i, hero] of HEROES.entries()) {
    const session = engine.session();
    const options = { seed: i + 1, temperature: 0.8, topK: 0, maxTokens: 400 };
    const { text, finish } = await collect(session.generate(`Tell me a story about a ${hero}.`, options));
    await session.close();
    assert.equal(finish.reason, "stop", text);
    const name = hero.split(" ")[2];
    const words = text.match(/[A-Z][a-z]+/g) ?? [];
    const slips = words.filter((word) => word !== name && word.length > 3 && word.startsWith(name.slice(0, 3)));
    if (words.filter((word) => word === name).length >= 3 && slips.length === 0) kept++;
  }
  assert.ok(kept >= 18, `${kept} of 20`);
});

test("a seed gives the same story again, and another seed another one", async () => {
  const story = async (seed: number) => {
    const session = engine.session();
    const { text } = await collect(session.generate("Write a short story about Tom.", { seed, maxTokens: 60 }));
    await session.close();
    return text;
  };
  const [first, again, other] = [await story(1), await story(1), await story(2)];
  assert.equal(first, again);
  assert.notEqual(first, other);
});
