/** Several models: loaded once when asked for, the one used longest ago out, and no wait without end. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { ProgressEvent } from "../../src/index.js";
import { Service } from "../../src/server/index.js";
import { GQA, TINY } from "../engine/engines.js";
import { boxServer, ENGINE, openai } from "./servers.js";

/** Names of models in the order of their loads, in each of which the bytes go up. */
const loads: string[] = [];
const seen = new Map<string, number>();
const entry = (name: string, model: string) => {
  const onProgress = ({ phase, loadedBytes }: ProgressEvent) => {
    if (phase !== "weights") return;
    if (loadedBytes < (seen.get(name) ?? Number.POSITIVE_INFINITY)) loads.push(name);
    seen.set(name, loadedBytes);
  };
  return { name, model, engine: { onProgress } };
};
const MODELS = [entry("a", TINY), entry("b", GQA), entry("c", TINY)];
const server = await boxServer({ models: MODELS, maxModels: 2, engine: { ...ENGINE, contextLength: 256 } });
const client = openai(server);
after(() => server.close());

const ask = (model: string, max_tokens = 4) =>
  client.completions.create({
    model,
    prompt: [1, 2, 3],
    max_tokens,
    temperature: 0,
    extra: { ignore_eos: true },
  } as never);
const state = () => server.service.models.all.map((model) => model.state).join(" ");

test("the first is loaded at once, others when they are asked for, and only once", async () => {
  assert.equal(state(), "loaded absent absent");
  const answers = await Promise.all([ask("b"), ask("b"), ask("b"), ask("a")]);
  assert.deepEqual(answers[0].choices, answers[2].choices);
  assert.equal(state(), "loaded loaded absent");
  assert.deepEqual(loads, ["a", "b"]);
});

test("the one used longest ago goes", async () => {
  await ask("b");
  await ask("c");
  assert.equal(state(), "absent loaded loaded");
  await ask("b");
  await ask("a");
  assert.equal(state(), "loaded loaded absent");
});

test("all at once, more than may be loaded: each gets its answer", async () => {
  const names = ["a", "b", "c", "c", "a", "b", "b", "c", "a"];
  const alone = new Map<string, string>();
  for (const name of ["a", "b", "c"]) alone.set(name, (await ask(name, 20)).choices[0].text);
  const answers = await Promise.all(names.map((name) => ask(name, 20)));
  for (const [i, { choices, model }] of answers.entries()) {
    assert.equal(model, names[i]);
    assert.equal(choices[0].text, alone.get(names[i]));
  }
});

test("a model that cannot be loaded is 503, and says nothing of its path", async () => {
  await using broken = await boxServer({ models: [{ name: "box" }, { name: "bad", model: "/nowhere/secret.gguf" }] });
  const twice = [1, 2].map(() => openai(broken).completions.create({ model: "bad", prompt: "x" }));
  for (const result of await Promise.allSettled(twice)) {
    assert.equal(result.status, "rejected");
    assert.match(String(result.reason), /503.*"bad" could not be loaded/);
    assert.doesNotMatch(JSON.stringify(result.reason), /secret/);
  }
  assert.ok((await openai(broken).completions.create({ model: "box", prompt: "x" })).choices);
});

test("a first model that cannot be loaded ends the start, with its reason", async () => {
  await assert.rejects(boxServer({ models: ["/nowhere/secret.gguf"] }), /secret\.gguf/);
});

test("names", () => {
  const names = (models: ConstructorParameters<typeof Service>[0]) =>
    new Service(models).models.all.map(({ name }) => name);
  assert.deepEqual(names({}), ["ternion-tiny"]);
  const given = ["/a/b/model.gguf", "https://x.org/c/big-i2_s.gguf?download=true", "parts-00001-of-00003.gguf"];
  assert.deepEqual(names({ models: [...given, { name: "mine", model: "x.gguf" }] }), [
    "model",
    "big-i2_s",
    "parts",
    "mine",
  ]);
  assert.throws(() => names({ models: ["a/x.gguf", "b/x.gguf"] }), /got "x" twice/);
  assert.throws(() => names({ models: [] }), /at least one model/);
});
