/** `/v1/embeddings` by OpenAI's client and by hand: forms of input and output, usage, limits, and who refuses. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Engine } from "../../src/index.js";
import type { RunningServer } from "../../src/server/index.js";
import { boxServer, ENGINE, MODEL, openai, post } from "./servers.js";

const TEXTS = ["Hello, who are you?", "Hello", "an engine of ternary weights"];

describe("/v1/embeddings", () => {
  let server: RunningServer;
  let want: readonly Float32Array[];
  const create = (body: object) => post(server, "/v1/embeddings", { model: MODEL, ...body });
  const json = async (body: object) => (await create(body)).json();
  const vectorsOf = (data: readonly { readonly embedding: readonly number[] }[]) =>
    data.map(({ embedding }) => Float32Array.from(embedding));

  before(async () => {
    server = await boxServer({ engine: { ...ENGINE, contextLength: 256, pooling: "mean" } });
    await using engine = await Engine.load(undefined, { ...ENGINE, contextLength: 256, pooling: "mean" });
    want = (await engine.embed(TEXTS)).vectors;
  });
  after(() => server.close());

  it("gives OpenAI's client the library's vectors, by base64 as it asks for by itself and as numbers", async () => {
    const client = openai(server);
    for (const encoding_format of [undefined, "float", "base64"] as const) {
      const answer = await client.embeddings.create({ model: MODEL, input: TEXTS, encoding_format });
      assert.deepEqual([answer.object, answer.model, answer.data.length], ["list", MODEL, 3]);
      assert.deepEqual(
        answer.data.map(({ index, object }) => `${object} ${index}`),
        TEXTS.map((_, i) => `embedding ${i}`),
      );
      assert.equal(answer.usage.prompt_tokens, answer.usage.total_tokens);
      if (encoding_format !== "base64") assert.deepEqual(vectorsOf(answer.data), want);
      else {
        const bytes = Buffer.from(answer.data[1].embedding as unknown as string, "base64");
        assert.deepEqual(
          Array.from(want[1], (_, i) => bytes.readFloatLE(4 * i)),
          [...want[1]],
        );
      }
    }
  });

  it("takes a text, texts, ids and lists of ids, and counts their tokens", async () => {
    const { tokens } = await (await post(server, "/tokenize", { content: TEXTS[0], add_special: true })).json();
    for (const [input, count] of [
      [TEXTS[0], 1],
      [[TEXTS[0]], 1],
      [tokens, 1],
      [[tokens, tokens], 2],
    ] as const) {
      const { data, usage } = await json({ input });
      assert.deepEqual(vectorsOf(data), Array(count).fill(want[0]), JSON.stringify(input));
      assert.deepEqual(usage, { prompt_tokens: count * tokens.length, total_tokens: count * tokens.length });
    }
  });

  it("keeps so many dimensions, of length 1", async () => {
    const { data } = await json({ input: TEXTS[0], dimensions: 16 });
    const [vector] = vectorsOf(data);
    const cut = want[0].subarray(0, 16);
    const length = Math.hypot(...cut);
    assert.equal(vector.length, 16);
    assert.ok(vector.every((value, i) => Math.abs(value - cut[i] / length) < 1e-6));
  });

  it("names the field that is wrong", async () => {
    const long = Array(300).fill(5);
    for (const [body, param, message] of [
      [{}, "input", /expected a value/],
      [{ input: "" }, "input", /expected at least one character/],
      [{ input: ["x", ""] }, "input[1]", /expected at least one character/],
      [{ input: [] }, "input", /expected at least 1 items/],
      [{ input: [[]] }, "input[0]", /expected string or integer, got an array of 0/],
      [{ input: 5 }, "input", /expected string or array/],
      [{ input: [1e9] }, "input[0][0]", /expected an id from 0 to/],
      [{ input: Array(2049).fill("x") }, "input", /expected at most 2048 inputs, got 2049/],
      [{ input: "x", encoding_format: "int8" }, "encoding_format", /expected "float" or "base64", got "int8"/],
      [{ input: "x", dimensions: 1e6 }, "dimensions", /expected an integer from 1 to \d+, got 1000000/],
      [{ input: "x", dimensions: 0 }, "dimensions", /expected a number >= 1/],
      [{ input: [[1], long] }, null, /maximum context length is 256 tokens.* resulted in 300/],
      [{ input: "x", model: "other" }, "model", /does not exist/],
    ] as const) {
      const response = await create(body);
      const { error } = await response.json();
      assert.equal(response.status, "model" in body ? 404 : 400, JSON.stringify(body).slice(0, 80));
      assert.equal(error.param, param);
      assert.match(error.message, message);
    }
  });

  it("is refused by a model that was not made for it", async () => {
    const plain = await boxServer();
    try {
      const response = await post(plain, "/v1/embeddings", { input: "x" });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.param, error.code], [400, "model", "unsupported_model"]);
      assert.match(error.message, /pooling_type: expected how to make a vector/);
    } finally {
      await plain.close();
    }
  });

  it("is counted in the metrics as an answer is", async () => {
    const page = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(page, /operation="embeddings",reason="stop"\} [1-9]/);
    assert.match(page, /operation="embeddings",reason="error"\} [1-9]/);
    assert.match(page, /ternion_prompt_tokens_total\{model="ternion-tiny"\} [1-9]\d+/);
  });
});
