/** `/tokenize`, `/detokenize`, `/health`, `/ready` and `/props`, within an app of the caller's own and under a prefix. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import Fastify from "fastify";
import { Engine } from "../../src/index.js";
import { ternion } from "../../src/server/index.js";
import { ENGINE, MODEL } from "./servers.js";

const app = Fastify();
await app.register(ternion, { prefix: "/llm", engine: ENGINE, apiKeys: ["secret"] });
app.get("/own", async () => "mine");
const engine = await Engine.load(undefined, ENGINE);
after(() => Promise.all([app.close(), engine.close()]));

const headers = { authorization: "Bearer secret" };
const post = (url: string, payload: object) => app.inject({ method: "POST", url, payload, headers });

const TEXT = "Hello, wörld 🙂 <|endoftext|>";

test("the app's own routes are not touched", async () => {
  assert.equal((await app.inject("/own")).body, "mine");
  const missing = await app.inject("/nowhere");
  assert.equal(missing.json().statusCode, 404); // fastify's own form
  assert.equal((await app.inject({ url: "/llm/nowhere", headers })).json().error.code, "unknown_url");
});

test("health needs no key, all else does", async () => {
  assert.deepEqual((await app.inject("/llm/health")).json(), { status: "ok" });
  assert.equal((await app.inject("/llm/ready")).statusCode, 503); // nobody has asked for the model yet
  assert.equal((await app.inject("/llm/props")).statusCode, 401);
  const wrong = await app.inject({ url: "/llm/v1/models", headers: { authorization: "Bearer secre" } });
  assert.deepEqual([wrong.statusCode, wrong.json().error.code], [401, "invalid_api_key"]);
  assert.equal((await app.inject({ url: "/llm/v1/models", headers: { "x-api-key": "secret" } })).statusCode, 200);
});

test("text and tokens, there and back", async () => {
  const { tokens } = (await post("/llm/tokenize", { content: TEXT })).json();
  assert.deepEqual(tokens, engine.tokenizer.encode(TEXT, { addBos: false, parseSpecial: true }));
  assert.deepEqual((await post("/llm/detokenize", { tokens })).json(), { content: TEXT });
  const plain = (await post("/llm/tokenize", { content: TEXT, parse_special: false, add_special: true })).json();
  assert.deepEqual(plain.tokens, engine.tokenizer.encode(TEXT));
});

test("pieces are text, or bytes where they are no whole characters", async () => {
  const { tokens } = (await post("/llm/tokenize", { content: TEXT, with_pieces: true })).json();
  const bytes = tokens.map(({ piece }: { piece: string | number[] }) => Buffer.from(piece as string));
  assert.equal(Buffer.concat(bytes).toString(), TEXT);
});

test("a template applied: what the chat of the library feeds", async () => {
  const messages = [
    { role: "developer", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Hello <|endoftext|>" }] },
  ];
  const { prompt } = (await post("/llm/apply-template", { messages })).json();
  const ids = await engine.encodeChat([
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hello <|endoftext|>" },
  ]);
  assert.equal(prompt, engine.tokenizer.decode(ids));
  const image = [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }];
  const refused = (await post("/llm/apply-template", { messages: image })).json();
  assert.equal(refused.error.param, "messages[0].content[0].type");
});

test("wrong tokens are refused", async () => {
  for (const tokens of [[-1], [1.5], [999_999], "x"]) {
    const { statusCode, body } = await post("/llm/detokenize", { tokens });
    assert.equal(statusCode, 400, body);
  }
  const text = await app.inject({ method: "POST", url: "/llm/tokenize", payload: "{", headers });
  assert.equal(text.statusCode, 415);
  const json = { ...headers, "content-type": "application/json" };
  assert.equal(
    (await app.inject({ method: "POST", url: "/llm/tokenize", payload: "{", headers: json })).statusCode,
    400,
  );
});

test("props says what is loaded, and no path", async () => {
  const { statusCode, body } = await app.inject({ url: "/llm/props", headers });
  assert.equal(statusCode, 200);
  const props = JSON.parse(body);
  assert.equal(props.default_generation_settings.n_ctx, engine.contextLength);
  assert.deepEqual([props.model_alias, props.models.length, props.models[0].loaded], [MODEL, 1, true]);
  assert.doesNotMatch(body, /\/|gguf/);
  assert.equal((await app.inject("/llm/ready")).statusCode, 200);
});
