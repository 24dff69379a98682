/**
 * Jinja as chat templates use it: compiles a template, lists its literals, and renders with other text in their place. It
 * runs what a file says, without bounds: only `template-child.ts` loads it, in a process that can be ended.
 *
 * `@huggingface/jinja` is changed here where Python's strings differ and templates notice (docs/chat-templates.md).
 */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { capitalize, strip } from "./python-strings.js";

export interface Compiled {
  /** text that the template may write: what is between its tags, and strings that it does not only compare with */
  readonly literals: readonly string[];
  render(variables: Readonly<Record<string, unknown>>, literals: readonly string[]): string;
}

/** The template called raise_exception(): it refuses its input. */
export class Raised extends Error {}

/** What cannot be compiled or run; `construct` is its source. */
export class NotUnderstood extends Error {
  constructor(
    message: string,
    readonly construct: string,
  ) {
    super(message);
  }
}

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}
interface StringLiteral extends Node {
  value: string;
}

export function compile(source: string): Compiled {
  const { parsed } = parse(source);
  const nodes: StringLiteral[] = [];
  collect(parsed, false, nodes);
  const loops = new Set(loopsIn(parsed));
  const literals = nodes.map(({ value }) => value);
  const write = (texts: readonly string[]) => {
    for (const [i, node] of nodes.entries()) node.value = texts[i];
  };
  const render: Compiled["render"] = (variables, texts) => {
    write(texts);
    try {
      return String(new Run(environment(variables), loops).run(parsed).value);
    } catch (error) {
      write(literals); // the message shows the template's own words
      throw error instanceof Failed ? error.asNotUnderstood() : error;
    }
  };
  return { literals, render };
}

function parse(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new NotUnderstood((error as Error).message, blamed(source, (error as Error).message));
  }
}

/** The tag at which the template fails as the whole does, "" if that needs all of it. */
function blamed(source: string, message: string): string {
  const tags = Array.from(source.matchAll(/\{[{%#].*?[}%#]\}/gs)).slice(0, 1000);
  const wrong = tags.find(({ 0: tag, index }) => {
    try {
      new Template(source.slice(0, index + tag.length));
      return false;
    } catch (error) {
      return (error as Error).message === message;
    }
  });
  return wrong?.[0] ?? "";
}

/** Methods whose arguments are looked for in a text and never written. */
const LOOKING =
  /^(startswith|endswith|split|rsplit|strip|lstrip|rstrip|find|count|get|removeprefix|removesuffix|(select|reject)(attr)?)$/;
const COMPARING = /^(==|!=|<|>|<=|>=|in|not in)$/;

/**
 * The literals under `node` that may be written. What is only compared with a text of the user's stays as it is: there
 * the user's text is true text too.
 */
function collect(node: unknown, compared: boolean, found: StringLiteral[]): void {
  if (Array.isArray(node)) for (const each of node) collect(each, compared, found);
  else if (node instanceof Map) for (const [, value] of node) collect(value, compared, found);
  else if (isNode(node) && !compared) collectIn(node, found);
}

function collectIn(node: Node, found: StringLiteral[]): void {
  if (node.type === "StringLiteral") {
    found.push(node as StringLiteral);
    return;
  }
  const skipped = comparedFields(node);
  for (const [field, value] of Object.entries(node)) {
    if (node.type === "ObjectLiteral" || !skipped.includes(field)) collect(value, false, found);
  }
  // replace(what, by): only the second is written
  if (isReplace(node)) collect((node.args as unknown[]).slice(1), false, found);
}

function comparedFields(node: Node): readonly string[] {
  switch (node.type) {
    case "BinaryExpression":
      return COMPARING.test(String((node.operator as Node).value)) ? ["left", "right"] : [];
    case "If":
    case "SelectExpression":
      return ["test"];
    case "Ternary":
      return ["condition"];
    case "MemberExpression":
      return ["property"];
    case "CallExpression":
      return isReplace(node) || LOOKING.test(calleeName(node)) ? ["args"] : [];
    default:
      return [];
  }
}

function calleeName({ callee }: Node): string {
  const { type, value, property } = callee as Node & { property?: Node };
  return String(type === "MemberExpression" ? property?.value : value);
}

const isReplace = (node: Node) => node.type === "CallExpression" && calleeName(node) === "replace";

function* loopsIn(node: unknown): Generator<unknown> {
  if (typeof node !== "object" || node === null) return;
  if ((node as Node).type === "For") yield (node as Node).body;
  for (const each of Object.values(node)) yield* loopsIn(each);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}

/** What is used of the package's runtime; its own declarations do not resolve under "nodenext". */
interface Runtime {
  run(program: unknown): { readonly value: unknown };
  evaluate(statement: unknown, environment: Variables): Value;
  evaluateBlock(statements: unknown[], environment: Variables): Value;
  applyFilter(operand: Value, filter: Node, environment: Variables): Value;
}
interface Value {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
  __bool__(): { readonly value: boolean };
}
interface Variables {
  readonly variables: Map<string, unknown>;
  readonly tests: Map<string, (...operands: Value[]) => boolean>;
  set(name: string, value: unknown): Value;
}
const PackageInterpreter = Interpreter as unknown as new (environment: Variables) => Runtime;
const newEnvironment = (parent?: Variables) => new Environment(parent as never) as unknown as Variables;

/** An error, and the innermost expression that it came from. */
class Failed extends Error {
  constructor(
    readonly reason: Error,
    readonly node: Node,
  ) {
    super(reason.message);
  }

  asNotUnderstood(): NotUnderstood {
    const body = { parsed: { type: "Program", body: [this.node] } };
    const source = Template.prototype.format.call(body as unknown as Template);
    return new NotUnderstood(this.reason.message, source.replace(/^\{\{-\s*|\s*-\}\}$/g, ""));
  }
}

const SHOWN = /^(CallExpression|FilterExpression|BinaryExpression|TestExpression|UnaryExpression|MemberExpression)$/;

class Run extends PackageInterpreter {
  readonly #loops: ReadonlySet<unknown>;
  /** `break` and `continue` on their way out, with what was written before them */
  readonly #jumps = new WeakMap<object, { readonly type: string; text: string }>();
  /** scopes of loops that were left */
  readonly #left = new WeakMap<Variables, unknown>();

  /** `loops`: the bodies of all loops */
  constructor(environment: Variables, loops: ReadonlySet<unknown>) {
    super(environment);
    this.#loops = loops;
  }

  override evaluate(statement: unknown, environment: Variables): Value {
    try {
      return super.evaluate(statement, environment);
    } catch (error) {
      const { type } = statement as Node;
      if (type === "Break" || type === "Continue") this.#jumps.set(error as object, { type, text: "" });
      const known = error instanceof Failed || error instanceof Raised || error instanceof RangeError;
      // break and continue have no message
      if (known || !(error instanceof Error) || error.message === "") throw error;
      if (!isNode(statement) || !SHOWN.test(statement.type)) throw error;
      throw new Failed(error, statement);
    }
  }

  /** `select` and `reject`, with a test or without, which the package lacks. */
  override applyFilter(operand: Value, filter: Node, environment: Variables): Value {
    const name = String(filter.type === "CallExpression" ? (filter.callee as Node).value : filter.value);
    if (!/^(select|reject)$/.test(name) || operand.type !== "ArrayValue") {
      return super.applyFilter(operand, filter, environment);
    }
    const [testName, ...rest] = ((filter.args ?? []) as Node[]).map((node) => this.evaluate(node, environment));
    const test = testName === undefined ? (item: Value) => item.__bool__().value : environment.tests.get(`${testName}`);
    if (test === undefined) throw new Error(`Unknown test: ${testName}`);
    const kept = (operand.value as Value[]).filter((item) => test(item, ...rest) === (name === "select"));
    return new (operand.constructor as new (items: Value[]) => Value)(kept);
  }

  /** As in Python: each turn of a loop has variables of its own, and what it wrote before a jump stays. */
  override evaluateBlock(statements: unknown[], environment: Variables): Value {
    const isLoop = this.#loops.has(statements);
    if (this.#left.has(environment)) throw this.#left.get(environment);
    const scope = isLoop ? newEnvironment(environment) : environment;
    let text = "";
    for (const statement of statements) {
      try {
        const value = this.evaluate(statement, scope);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") text += value.toString();
      } catch (error) {
        const jump = this.#jumps.get(error as object);
        if (jump === undefined) throw error;
        text += jump.text;
        jump.text = text;
        if (!isLoop) throw error;
        if (jump.type === "Break") this.#left.set(environment, error);
        break;
      }
    }
    return runtime(text);
  }
}

const runtime = (value: unknown): Value => newEnvironment().set("value", value);

const MOST_ITEMS = 100_000;

function environment(variables: Readonly<Record<string, unknown>>): Variables {
  const all: Record<string, unknown> = {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    range: (...bounds: number[]) => range(bounds),
    strftime_now: (format: string) => strftime(new Date(), format),
    raise_exception: (message: unknown) => {
      throw new Raised(String(message));
    },
    ...variables,
  };
  const env = newEnvironment();
  for (const [name, value] of Object.entries(all)) {
    env.variables.delete(name);
    env.set(name, value);
  }
  return env;
}

function range(bounds: readonly number[]): number[] {
  const [start, stop] = bounds.length === 1 ? [0, bounds[0]] : bounds;
  const step = bounds[2] ?? 1;
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MOST_ITEMS)) throw new Error(`range(): expected at most ${MOST_ITEMS} items, got ${count}`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's, in English whatever the machine's language is. */
function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const values: Readonly<Record<string, () => string>> = {
    Y: () => String(date.getFullYear()),
    y: () => two(date.getFullYear() % 100),
    m: () => two(date.getMonth() + 1),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2, " "),
    B: () => MONTHS[date.getMonth()],
    b: () => MONTHS[date.getMonth()].slice(0, 3),
    A: () => DAYS[date.getDay()],
    a: () => DAYS[date.getDay()].slice(0, 3),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    "%": () => "%",
  };
  return format.replace(/%(.)/gs, (whole, letter: string) => values[letter]?.() ?? whole);
}

/** Methods of Python's strings that the package lacks, or has otherwise. */
const METHODS: Readonly<Record<string, (text: string, ...args: never[]) => unknown>> = {
  capitalize,
  strip: (text, chars?: string | null) => strip(text, chars ?? undefined, "both"),
  lstrip: (text, chars?: string | null) => strip(text, chars ?? undefined, "left"),
  rstrip: (text, chars?: string | null) => strip(text, chars ?? undefined, "right"),
  find: (text, part: string) => text.indexOf(part),
  rsplit: (text, by: string, most = Number.POSITIVE_INFINITY) => {
    const parts = text.split(by);
    const kept = Math.max(1, parts.length - most);
    return [parts.slice(0, kept).join(by), ...parts.slice(kept)];
  },
  splitlines: (text) => text.replace(/\r?\n$/, "").split(/\r?\n/),
  join: (text, parts: readonly { readonly value: unknown }[]) => parts.map(({ value }) => String(value)).join(text),
  isdigit: (text) => /^\p{Nd}+$/u.test(text),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  count: (text, part: string) => text.split(part).length - 1,
  removeprefix: (text, part: string) => (text.startsWith(part) ? text.slice(part.length) : text),
  removesuffix: (text, part: string) => (part !== "" && text.endsWith(part) ? text.slice(0, -part.length) : text),
};

/** This process is for templates alone, so the package's class itself is changed. */
function addMethods(): void {
  const prototype: { builtins: Map<string, unknown> } = Object.getPrototypeOf(runtime(""));
  const original = Object.getOwnPropertyDescriptor(prototype, "builtins")?.get as () => Map<string, unknown>;
  Object.defineProperty(prototype, "builtins", {
    get(this: { value: string; methods?: Map<string, unknown> }) {
      const { value } = this;
      this.methods ??= new Map([
        ...original.call(this),
        ...Object.entries(METHODS).map(
          ([name, method]) => [name, runtime((...args: never[]) => method(value, ...args))] as const,
        ),
      ]);
      return this.methods;
    },
  });
}

addMethods();
