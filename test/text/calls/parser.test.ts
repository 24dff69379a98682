/** Text and calls out of an answer: what each format gives, that cuts make no difference, and that nothing is lost. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type CallFormat, formatOf, HERMES } from "../../../src/text/calls/formats.js";
import { CallParser, type Said } from "../../../src/text/calls/parser.js";
import { LLAMA_TEMPLATE, MISTRAL_TEMPLATE } from "./templates.js";

const LLAMA = formatOf(LLAMA_TEMPLATE) ?? assert.fail("no format");
const MISTRAL = formatOf(MISTRAL_TEMPLATE) ?? assert.fail("no format");
const NAMES = new Set(["add", "get_weather"]);

interface Read {
  /** text between calls, in order */
  readonly said: readonly (string | readonly [name: string, text: string])[];
  readonly events: readonly Said[];
}

/** What a client makes of the events: deltas of text joined, and those of calls. */
function read(format: CallFormat, pieces: readonly string[], certain = false): Read {
  const parser = new CallParser({ format, names: NAMES, onOpen: () => certain });
  const events = [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
  const said: (string | [string, string])[] = [];
  const calls: [string, string][] = [];
  for (const event of events) {
    const last = said[said.length - 1];
    if ("text" in event) {
      assert.notEqual(event.text, "");
      if (typeof last === "string") said[said.length - 1] = last + event.text;
      else said.push(event.text);
      continue;
    }
    const { index, id, name, arguments: text = "" } = event.call;
    if (name !== undefined) {
      assert.equal(index, calls.length, "calls are counted");
      assert.match(id ?? "", format === MISTRAL ? /^[a-zA-Z0-9]{9}$/ : /^call_[a-zA-Z0-9]{24}$/);
      calls.push([name, text]);
      said.push(calls[index]);
    } else {
      assert.equal(id, undefined, "an id is given once");
      assert.equal(index, calls.length - 1, "one call after the other");
      calls[index][1] += text;
    }
  }
  assert.equal(parser.count, calls.length);
  return { said, events };
}

const single = (format: CallFormat, text: string, certain = false) => read(format, [...text], certain).said;
const call = (name: string, text: string) => [name, text] as const;

const HERMES_ADD = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2]}}\n</tool_call>';

describe("formats", () => {
  const cases: readonly [string, CallFormat, string, readonly (string | readonly [string, string])[]][] = [
    ["text alone", HERMES, "Hello <tool> you </tool_call>.\n", ["Hello <tool> you </tool_call>.\n"]],
    ["one call", HERMES, HERMES_ADD, [call("add", '{"a": 1, "b": [2]}')]],
    ["text before", HERMES, `I'll add.\n\n${HERMES_ADD}`, ["I'll add.", call("add", '{"a": 1, "b": [2]}')]],
    ["several", HERMES, `${HERMES_ADD}\n${HERMES_ADD}\n`, Array(2).fill(call("add", '{"a": 1, "b": [2]}'))],
    ["text after", HERMES, `${HERMES_ADD}\nDone.`, [call("add", '{"a": 1, "b": [2]}'), "\nDone."]],
    ["no end mark", HERMES, HERMES_ADD.slice(0, -13), [call("add", '{"a": 1, "b": [2]}')]],
    [
      "a list, as of Falcon 3",
      HERMES,
      '<tool_call>\n[\n  {"name": "add", "arguments": {}},\n  {"name": "get_weather", "arguments": {"a": "]}"}}\n]\n</tool_call>',
      [call("add", "{}"), call("get_weather", '{"a": "]}"}')],
    ],
    [
      "arguments first",
      HERMES,
      '<tool_call>{"arguments":{"x":{}},"name":"add"}</tool_call>',
      [call("add", '{"x":{}}')],
    ],
    ["no arguments", HERMES, '<tool_call>{"name":"add"}</tool_call>', [call("add", "{}")]],
    [
      "a string of JSON",
      HERMES,
      '<tool_call>{"name":"add","arguments":"{\\"a\\":1}"}</tool_call>',
      [call("add", '{"a":1}')],
    ],
    [
      "marks within a string",
      HERMES,
      '<tool_call>{"name":"add","arguments":{"s":"</tool_call>\\""}}</tool_call>',
      [call("add", '{"s":"</tool_call>\\""}')],
    ],
    ["Llama", LLAMA, '{"name": "add", "parameters": {"a": 1}}', [call("add", '{"a": 1}')]],
    ["Llama with a type", LLAMA, '\n{"type": "function", "name": "add", "parameters": {}}', [call("add", "{}")]],
    ["Llama with a mark", LLAMA, '<|python_tag|>{"name": "add", "parameters": {}}', [call("add", "{}")]],
    [
      "Llama, several",
      LLAMA,
      '{"name": "add", "parameters": {}}; {"name": "add", "parameters": {"b": 2}}',
      [call("add", "{}"), call("add", '{"b": 2}')],
    ],
    ["Llama, JSON that is no call", LLAMA, '{"answer": 42}', ['{"answer": 42}']],
    ["Llama, an object later in the text", LLAMA, 'So: {"name": "add"}', ['So: {"name": "add"}']],
    [
      "Mistral",
      MISTRAL,
      '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "123456789"}]',
      [call("add", '{"a": 1}')],
    ],
    [
      "Mistral, several",
      MISTRAL,
      'Yes.[TOOL_CALLS][{"name":"add","arguments":{}},{"name":"add","arguments":{"a":2}}]',
      ["Yes.", call("add", "{}"), call("add", '{"a":2}')],
    ],
  ];
  for (const [name, format, text, said] of cases) {
    test(name, () => {
      for (const certain of [false, true]) {
        assert.deepEqual(read(format, [text], certain).said, said, `whole, ${certain}`);
        assert.deepEqual(single(format, text, certain), said, `single characters, ${certain}`);
      }
    });
  }
});

describe("what is no call stays text", () => {
  const cases: readonly [string, CallFormat, string][] = [
    ["an unknown tool", HERMES, '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>'],
    ["no JSON", HERMES, "<tool_call>add(1, 2)</tool_call>"],
    ["wrong JSON", HERMES, '<tool_call>{"name": "add", "arguments": {"a": 1,}}</tool_call>'],
    ["arguments that are none", HERMES, '<tool_call>{"name": "add", "arguments": [1]}</tool_call>'],
    ["a number as arguments", HERMES, '<tool_call>{"name": "add", "arguments": "1"}</tool_call>'],
    ["no name", HERMES, '<tool_call>{"arguments": {}}</tool_call>'],
    ["empty", HERMES, "a <tool_call> \n</tool_call> b"],
    ["cut off", HERMES, 'a\n<tool_call>\n{"name": "add", "arguments": {"a"'],
    ["half a mark", HERMES, "a <tool_ca"],
    ["a mark twice", HERMES, "<tool_call><tool_call>"],
    ["blanks", HERMES, " \n "],
    ["nothing", HERMES, ""],
    ["a list cut off", MISTRAL, '[TOOL_CALLS] [{"name": '],
    ["half of Llama's", LLAMA, ' {"na'],
    ["Python", LLAMA, '<|python_tag|>brave_search.call(query="x")'],
  ];
  for (const [name, format, text] of cases) {
    test(name, () => {
      const said = text === "" ? [] : [text];
      assert.deepEqual(read(format, [text]).said, said);
      assert.deepEqual(single(format, text), said);
    });
  }

  test("a call after what was none is found", () => {
    const said = single(HERMES, `<tool_call>oops</tool_call> ${HERMES_ADD}`);
    assert.deepEqual(said, ["<tool_call>oops</tool_call>", call("add", '{"a": 1, "b": [2]}')]);
  });
});

describe("as it comes", () => {
  test("where a grammar leaves nothing else, a call is out before it is complete", () => {
    const parser = new CallParser({ format: HERMES, names: NAMES, onOpen: () => true });
    const said = [...'Hm. <tool_call>\n{"name": "add", "arguments": {"a'].flatMap((piece) => parser.push(piece));
    const text = said.flatMap((each) => ("text" in each ? each.text : [])).join("");
    assert.equal(text, "Hm.");
    const parts = said.flatMap((each) => ("call" in each ? each.call : []));
    assert.equal(parts[0].name, "add");
    assert.equal(parts.map((part) => part.arguments ?? "").join(""), '{"a');
    assert.deepEqual([parser.count, parser.completed], [1, 0]);
    assert.deepEqual(parser.end(), [], "what was begun is no text");
  });

  test("elsewhere nothing is out before it is complete", () => {
    const parser = new CallParser({ format: HERMES, names: NAMES });
    const all = HERMES_ADD.slice(0, HERMES_ADD.indexOf("}}") + 1);
    assert.deepEqual(
      [...all].flatMap((piece) => parser.push(piece)),
      [],
    );
    assert.equal(parser.push("}").length, 2);
    assert.equal(parser.completed, 1);
  });

  test("text is out but for what may be a mark, and blanks before one", () => {
    const parser = new CallParser({ format: HERMES, names: NAMES });
    assert.deepEqual(parser.push("one "), [{ text: "one" }]);
    assert.deepEqual(parser.push("two <to"), [{ text: " two" }]);
    assert.deepEqual(parser.push("e>"), [{ text: " <toe>" }]);
  });
});

/** Pieces of what models write, right and wrong. */
const UNIT = fc.constantFrom(
  ...[
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<tool",
    "_call>",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    '"',
  ],
  ...[
    '{"name": "add", "arguments": {"a": 1}}',
    '{"name": "add", "parameters": {"s": "\\"}"}}',
    '{"name": "no"}',
    '{"name"',
  ],
  ...["\n", " ", "text", "\\", "🦙", "arguments", ": ", HERMES_ADD],
);

describe("any text", () => {
  const text = fc.array(UNIT, { maxLength: 12 }).map((units) => units.join(""));
  const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 30 });
  const format = fc.constantFrom(HERMES, LLAMA, MISTRAL);

  test("cuts make no difference", () => {
    fc.assert(
      fc.property(text, cuts, format, fc.boolean(), (whole, places, each, certain) => {
        const ends = [...new Set(places.filter((at) => at < whole.length)), whole.length].sort((a, b) => a - b);
        const pieces = ends.map((end, i) => whole.slice(ends[i - 1] ?? 0, end));
        assert.deepEqual(read(each, pieces, certain).said, read(each, [whole], certain).said);
      }),
      { numRuns: 2000 },
    );
  });

  test("without calls all of it comes out, and with calls nothing that was not there", () => {
    fc.assert(
      fc.property(text, format, (whole, each) => {
        const { said } = read(each, [...whole]);
        const texts = said.filter((part) => typeof part === "string");
        if (texts.length === said.length) assert.equal(texts.join(""), whole);
        let at = 0;
        for (const part of texts) {
          at = whole.indexOf(part, at);
          assert.ok(at >= 0, `${JSON.stringify(part)} of ${JSON.stringify(whole)}`);
          at += part.length;
        }
        for (const part of said) if (typeof part !== "string") JSON.parse(part[1]);
      }),
      { numRuns: 2000 },
    );
  });
});
