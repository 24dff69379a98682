/**
 * An expression as a recursive transition network over bytes: nodes with edges, and calls of other parts of it. Everything
 * that would not end later is refused here: a rule that begins with itself, a grammar that no text satisfies, one that
 * is too large.
 */
import { TernionError } from "../errors.js";
import { type Expression, type Length, type Machine, type Ranges, Rule } from "./expression.js";
import { NonEmpty } from "./non-empty.js";
import { byteSequences } from "./utf8.js";

/** Enters the part at `start` from `min` to `max` times, one after the other, and goes on at `next`. */
export interface Call {
  readonly start: number;
  readonly next: number;
  readonly min: number;
  readonly max: number;
  /** The part is entered once, and it is its characters that are counted. */
  readonly length?: Length | undefined;
}

/** A state of a machine whose characters are counted. */
export interface Letter {
  readonly state: number;
  /** an edge that leads here ends a character */
  readonly endsCharacter: boolean;
}

export interface Node {
  /** first byte, last byte and target of each edge, one after the other */
  readonly edges: number[];
  /** targets that take no byte */
  skips: number[];
  call?: Call;
  letter?: Letter;
  /** whether its part ends here */
  readonly ends: boolean;
}

export interface Network {
  /** those that lead nowhere have no way out */
  readonly nodes: readonly Readonly<Node>[];
  readonly start: number;
  /** class of each byte: no edge tells bytes of one class apart */
  readonly classOf: Uint8Array;
  /** one byte of each class */
  readonly bytes: readonly number[];
}

type Repeat = Extract<Expression, { kind: "repeat" }>;

/** The first and the last node of a part. */
interface Fragment {
  readonly start: number;
  readonly end: number;
}

const encoder = new TextEncoder();

/** Of some 100 bytes each. */
export const MOST_NODES = 50_000;

/** `name` is how messages call the expression. */
export function networkOf(expression: Expression, name: string): Network {
  const builder = new Builder(expression, name);
  const { start } = builder.fragment(new Rule("root", expression));
  builder.finish();
  const { nodes } = builder;
  if (!prune(nodes, start)) throw refused(`${name}: no text satisfies it; expected one at least`);
  refuseLeftRecursion(nodes, builder.names);
  return { nodes, start, ...classesOf(nodes) };
}

class Builder {
  readonly nodes: Node[] = [];
  /** name of the rule that begins at a node */
  readonly names = new Map<number, string>();
  readonly #fragments = new Map<Rule, Fragment>();
  readonly #waiting: Rule[] = [];
  #nonEmpty: NonEmpty | undefined;

  constructor(
    readonly root: Expression,
    readonly name: string,
  ) {}

  /** Nodes of a rule, which get their edges later. */
  fragment(rule: Rule): Fragment {
    let fragment = this.#fragments.get(rule);
    if (fragment === undefined) {
      fragment = { start: this.#node(), end: this.#node(true) };
      this.#fragments.set(rule, fragment);
      this.#waiting.push(rule);
      this.names.set(fragment.start, rule.name);
    }
    return fragment;
  }

  /** Builds the rules that are asked for, and those that they ask for. */
  finish(): void {
    for (let rule = this.#waiting.pop(); rule !== undefined; rule = this.#waiting.pop()) {
      const { start, end } = this.fragment(rule);
      if (rule.body === undefined) throw refused(`rule ${rule.name}: expected a definition, got none`);
      this.#build(rule.body, start, end);
    }
  }

  #node(ends = false): number {
    if (this.nodes.length === MOST_NODES) {
      throw refused(`${this.name}: expected at most ${MOST_NODES} states, got more; ask for less at once`);
    }
    return this.nodes.push({ edges: [], skips: [], ends }) - 1;
  }

  #build(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case "text":
        this.#text(encoder.encode(expression.text), from, to);
        break;
      case "character":
        this.#character(expression.ranges, from, to);
        break;
      case "sequence":
        this.#sequence(expression.parts, from, to);
        break;
      case "choice":
        this.#choice(expression.parts, from, to);
        break;
      case "repeat":
        this.#repeat(expression, from, to);
        break;
      case "machine":
        this.#machine(expression, from, to);
        break;
      case "rule":
        this.#call(this.fragment(expression), { min: 1, max: 1 }, from, to);
        break;
      default:
        expression satisfies never;
    }
  }

  #text(bytes: Uint8Array, from: number, to: number): void {
    if (bytes.length === 0) this.nodes[from].skips.push(to);
    let at = from;
    for (const [i, byte] of bytes.entries()) {
      const next = i === bytes.length - 1 ? to : this.#node();
      this.nodes[at].edges.push(byte, byte, next);
      at = next;
    }
  }

  /** Characters with the same last bytes share the nodes of these. */
  #character(ranges: Ranges, from: number, to: number): void {
    const tails = new Map<string, number>();
    for (const [first, last] of ranges) {
      for (const bytes of byteSequences(first, last)) {
        let next = to;
        for (let i = bytes.length - 1; i > 0; i--) {
          const key = bytes.slice(i).join();
          const known = tails.get(key);
          const node = known ?? this.#node();
          if (known === undefined) this.nodes[node].edges.push(...bytes[i], next);
          tails.set(key, node);
          next = node;
        }
        this.nodes[from].edges.push(...bytes[0], next);
      }
    }
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    if (parts.length === 0) this.nodes[from].skips.push(to);
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#node();
      this.#build(part, at, next);
      at = next;
    }
  }

  /** Texts share the nodes of what they begin with: thousands of them are then one way, and not thousands. */
  #choice(parts: readonly Expression[], from: number, to: number): void {
    const children = new Map<string, number>();
    for (const part of parts) {
      if (part.kind === "text" && part.text !== "") this.#branch(encoder.encode(part.text), from, to, children);
      else this.#build(part, from, to);
    }
  }

  #branch(bytes: Uint8Array, from: number, to: number, children: Map<string, number>): void {
    let at = from;
    for (const byte of bytes.subarray(0, -1)) {
      const key = `${at} ${byte}`;
      let next = children.get(key);
      if (next === undefined) {
        next = this.#node();
        this.nodes[at].edges.push(byte, byte, next);
        children.set(key, next);
      }
      at = next;
    }
    const last = bytes[bytes.length - 1];
    this.nodes[at].edges.push(last, last, to);
  }

  #repeat({ part, min, max }: Repeat, from: number, to: number): void {
    if (max <= 1) {
      if (min === 0) this.nodes[from].skips.push(to);
      if (max === 1) this.#build(part, from, to);
    } else if (min <= 1 && max === Number.POSITIVE_INFINITY) {
      this.#loop(part, min, from, to);
    } else {
      // a time that takes nothing counts for nothing
      this.#nonEmpty ??= new NonEmpty(this.root);
      const inner = { start: this.#node(), end: this.#node(true) };
      this.#build(this.#nonEmpty.of(part), inner.start, inner.end);
      this.#call(inner, { min: this.#nonEmpty.isNullable(part) ? 0 : min, max }, from, to);
    }
  }

  #loop(part: Expression, min: number, from: number, to: number): void {
    const [before, after] = [this.#node(), this.#node()];
    this.nodes[from].skips.push(before);
    if (min === 0) this.nodes[from].skips.push(to);
    this.#build(part, before, after);
    this.nodes[after].skips.push(before, to);
  }

  #machine({ states, length }: Machine, from: number, to: number): void {
    const nodes = states.map(({ accepts }) => this.#node(accepts && length !== undefined));
    for (const [state, { edges, accepts, endsCharacter }] of states.entries()) {
      const node = this.nodes[nodes[state]];
      for (let e = 0; e < edges.length; e += 3) node.edges.push(edges[e], edges[e + 1], nodes[edges[e + 2]]);
      if (length !== undefined) node.letter = { state, endsCharacter };
      else if (accepts) node.skips.push(to);
    }
    if (length === undefined) this.nodes[from].skips.push(nodes[0]);
    else this.#call({ start: nodes[0] }, { min: length.min, max: length.max, length }, from, to);
  }

  #call({ start }: Pick<Fragment, "start">, times: Omit<Call, "start" | "next">, from: number, to: number): void {
    const node = this.#node();
    this.nodes[from].skips.push(node);
    this.nodes[node].call = { start, next: to, ...times };
  }
}

/** Which nodes lead to the end of their part; without `bytes`: taking none. */
function leadToEnd(nodes: readonly Node[], bytes: boolean): Uint8Array {
  const leads = new Uint8Array(nodes.length);
  const { first, users } = usersOf(nodes, bytes);
  // asked when one of the nodes leads there that its own ways go to; those of its call both have to
  const follows = ({ edges, skips, call, ends }: Node): boolean => {
    if (call === undefined || ends || skips.length > 0 || edges.length > 0) return true;
    return leads[call.next] === 1 && (call.min === 0 || leads[call.start] === 1);
  };
  const waiting = nodes.flatMap(({ ends }, i) => (ends ? [i] : []));
  for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
    if (leads[i] || !follows(nodes[i])) continue;
    leads[i] = 1;
    for (let u = first[i]; u < first[i + 1]; u++) waiting.push(users[u]);
  }
  return leads;
}

/** The nodes that have a way to node i: `users` from `first[i]` to before `first[i + 1]`. */
function usersOf(nodes: readonly Node[], bytes: boolean): { first: Int32Array; users: Int32Array } {
  const first = new Int32Array(nodes.length + 1);
  eachWay(nodes, bytes, (_, to) => first[to + 1]++);
  for (let i = 0; i < nodes.length; i++) first[i + 1] += first[i];
  const users = new Int32Array(first[nodes.length]);
  const filled = first.slice();
  eachWay(nodes, bytes, (from, to) => {
    users[filled[to]++] = from;
  });
  return { first, users };
}

function eachWay(nodes: readonly Node[], bytes: boolean, use: (from: number, to: number) => void): void {
  for (let i = 0; i < nodes.length; i++) {
    const { edges, skips, call } = nodes[i];
    if (bytes) for (let e = 2; e < edges.length; e += 3) use(i, edges[e]);
    for (const to of skips) use(i, to);
    if (call === undefined) continue;
    use(i, call.start);
    use(i, call.next);
  }
}

/** Takes out what leads to no end, so that whatever can go on can also end; false where nothing is left. */
function prune(nodes: readonly Node[], start: number): boolean {
  const reaches = leadToEnd(nodes, true);
  for (const node of nodes) {
    let kept = 0;
    for (let e = 0; e < node.edges.length; e += 3) {
      if (!reaches[node.edges[e + 2]]) continue;
      node.edges.copyWithin(kept, e, e + 3);
      kept += 3;
    }
    node.edges.length = kept;
    node.skips = node.skips.filter((to) => reaches[to]);
    if (node.call === undefined) continue;
    const { call } = node;
    if (!reaches[call.next]) delete node.call;
    else if (!reaches[call.start]) node.call = { ...call, max: 0 };
  }
  return reaches[start] === 1;
}

/** A part that is entered within itself before a byte is taken would be entered without end. */
function refuseLeftRecursion(nodes: readonly Node[], names: ReadonlyMap<number, string>): void {
  const empty = leadToEnd(nodes, false);
  const nextOf = ({ skips, call }: Node): number[] => {
    if (call === undefined) return skips;
    const over = call.min === 0 || empty[call.start] ? [call.next] : [];
    return call.max === 0 ? [...skips, call.next] : [...skips, call.start, ...over];
  };
  const group = components(nodes.map(nextOf));
  for (const [i, { call }] of nodes.entries()) {
    if (call === undefined || call.max === 0 || group[i] !== group[call.start]) continue;
    throw refused(
      `${names.get(call.start) ?? "a repeated part"}: expected it to begin with something else than itself`,
    );
  }
}

/** Number of the strongly connected component of each node (Tarjan 1972, without recursion). */
function components(next: readonly (readonly number[])[]): Int32Array {
  const order = new Int32Array(next.length).fill(-1);
  const low = new Int32Array(next.length);
  const group = new Int32Array(next.length).fill(-1);
  const open: number[] = [];
  let count = 0;
  for (const root of next.keys()) {
    if (order[root] >= 0) continue;
    const path: { node: number; at: number }[] = [];
    const enter = (node: number) => {
      order[node] = low[node] = count++;
      open.push(node);
      path.push({ node, at: 0 });
    };
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { node } = top;
      const to = next[node][top.at++];
      if (to === undefined) {
        path.pop();
        const above = path.at(-1);
        if (above !== undefined) low[above.node] = Math.min(low[above.node], low[node]);
        if (low[node] === order[node])
          for (let each = -1; each !== node; group[each] = node) each = open.pop() as number;
      } else if (order[to] < 0) enter(to);
      else if (group[to] < 0) low[node] = Math.min(low[node], order[to]);
    }
  }
  return group;
}

function classesOf(nodes: readonly Node[]): Pick<Network, "classOf" | "bytes"> {
  const begins = new Uint8Array(257);
  begins[0] = 1;
  for (const { edges } of nodes) {
    for (let e = 0; e < edges.length; e += 3) begins[edges[e]] = begins[edges[e + 1] + 1] = 1;
  }
  const classOf = new Uint8Array(256);
  const bytes: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (begins[byte]) bytes.push(byte);
    classOf[byte] = bytes.length - 1;
  }
  return { classOf, bytes };
}

/** The error for what a schema, a grammar or a regular expression asks for that cannot be honoured. */
export const refused = (problem: string): TernionError => new TernionError("GRAMMAR", problem);
