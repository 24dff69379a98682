/** Rendering against Python's Jinja2: templates of known models and constructs that templates use. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { compile, Raised } from "../../src/text/jinja.js";

interface Golden {
  readonly variables: Record<string, unknown>;
  readonly cases: readonly {
    readonly name?: string;
    readonly template?: string;
    /** name of a case before this one that has the template */
    readonly of?: string;
    readonly variables?: Record<string, unknown>;
    readonly text?: string;
    readonly raised?: string;
  }[];
}

describe("Jinja as in Python", () => {
  let golden: Golden;
  before(async () => {
    const file = new URL("../../../test/golden/chat-templates.json", import.meta.url);
    golden = JSON.parse(await readFile(file, "utf8"));
  });

  it("renders what Jinja2 renders", () => {
    assert.ok(golden.cases.length > 90);
    for (const { name, variables, text, raised, ...given } of golden.cases) {
      const template = given.template ?? golden.cases.find((each) => each.name === given.of)?.template ?? "";
      const compiled = compile(template);
      const render = () => compiled.render({ ...golden.variables, ...variables }, compiled.literals);
      if (raised === undefined) assert.equal(render(), text, name ?? template);
      else assert.throws(render, (error: Error) => error instanceof Raised && error.message === raised, name);
    }
  });

  it("writes the literals that it is given, and compares with its own", () => {
    const source =
      "<|a|>{% if x == '<|b|>' %}{{ '<|c|>' + x.replace('<|d|>', '<|e|>') }}{% endif %}" +
      "{{ {'<|f|>': '<|g|>'}['<|h|>'] }}{{ x.split('<|i|>')[0] }}{{ x | replace('<|j|>', '<|k|>') }}" +
      "{{ x if '<|l|>' in x else '<|m|>' }}{% for y in x if y != '<|n|>' %}<|o|>{% endfor %}";
    const { literals } = compile(source);
    assert.deepEqual(literals, ["<|a|>", "<|c|>", "<|e|>", "<|g|>", "<|k|>", "<|m|>", "<|o|>"]);
    const { render } = compile("<a>{% if x == '<b>' %}{{ '<c>' + x }}{% endif %}");
    assert.equal(render({ x: "<b>" }, ["1", "2"]), "12<b>");
    assert.equal(render({ x: "<b>" }, ["<a>", "<c>"]), "<a><c><b>");
  });

  it("gives the date in English", () => {
    const { render, literals } = compile("{{ strftime_now('%d %b %Y|%A %%') }}");
    assert.match(render({}, literals), /^\d\d [A-Z][a-z]{2} \d{4}\|[A-Z][a-z]+day %$/);
  });
});
