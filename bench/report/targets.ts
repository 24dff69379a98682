/** What the CPU backend is meant to reach on the 2B-4T shape, and what was measured. */
import type { DecodeFigures } from "../decode.js";
import type { LoadFigures } from "../load.js";
import type { PeerFigures } from "../peers.js";
import type { MachineResults } from "./files.js";

export interface Target {
  readonly what: string;
  readonly node: number;
  readonly limit: string;
  /** "i16", or "f32" where the default was not measured */
  readonly cache?: string;
  /** undefined: not measured */
  readonly value?: string;
  readonly met?: boolean;
}

const NODES = [20, 24] as const;
type Node = (typeof NODES)[number];

interface Bound {
  readonly least?: number;
  readonly most?: number;
}

export function targets(results: MachineResults): Target[] {
  return NODES.flatMap((node) => [...peerTargets(results, node), ...ownTargets(results, node)]);
}

/** The result with the default cache, or else with the float32 cache. */
function find<Figures>(results: MachineResults, what: string, node: Node, more = "") {
  const usual = results.one<Figures>(`${what}${more}`, node);
  if (usual !== undefined) return { cache: "i16", figures: usual.figures };
  const wide = results.one<Figures>(`${what}-f32${more}`, node);
  return wide && { cache: "f32", figures: wide.figures };
}
type Found<Figures> = { readonly cache: string; readonly figures: Figures } | undefined;

/** `value` of what was found against a bound. */
function judge<Figures>(
  what: string,
  node: Node,
  bound: Bound,
  found: Found<Figures>,
  value: (figures: Figures) => number | undefined,
): Target {
  const { least, most } = bound;
  const limit = least === undefined ? `at most ${most}` : `at least ${least}`;
  const measured = found && value(found.figures);
  if (measured === undefined) return { what, node, limit };
  const met = least === undefined ? measured <= (most as number) : measured >= least;
  return { what, node, limit, cache: found?.cache, value: measured.toFixed(2), met };
}

function peerTargets(results: MachineResults, node: Node): Target[] {
  const goal = { 20: [1.3, 1.5], 24: [1.6, 1.8] }[node];
  const ratio = (threads: number) => (figures: PeerFigures) =>
    figures.rows.find((row) => row.threads === threads)?.ratio;
  const generation = find<PeerFigures>(results, "peers-generate", node);
  const prompt = find<PeerFigures>(results, "peers-prompt", node);
  const wide = find<PeerFigures>(results, "peers-prompt", node, "-revectorize");
  const what = "generation at context 256, of node-llama-cpp";
  return [
    judge(`${what}, 1 thread`, node, { least: goal[0] }, generation, ratio(1)),
    judge(`${what}, 2 threads`, node, { least: goal[1] }, generation, ratio(2)),
    judge("prompt, 2 threads, of node-llama-cpp", node, { least: 1.4 }, prompt, ratio(2)),
    ...(node === 24 ? [judge("the same with `--revectorize`", node, { least: 2.2 }, wide, ratio(2))] : []),
  ];
}

function ownTargets(results: MachineResults, node: Node): Target[] {
  const decode = find<DecodeFigures>(results, "decode", node);
  const load = find<LoadFigures>(results, "load", node);
  const near = ({ rows }: DecodeFigures) => rows.find(({ threads, context }) => threads === 2 && context === 256);
  const share = (figures: DecodeFigures) => near(figures)?.ternaryShareOfRead;
  const outside = (figures: DecodeFigures) => near(figures)?.outsideOps;
  const least = { 20: 0.7, 24: 0.85 }[node];
  return [
    judge("generation at 4096, of that at 128", node, { least: 0.6 }, decode, slowdown),
    judge("ternary part, of the read bandwidth, 2 threads", node, { least }, decode, share),
    judge("time outside ops, of a token", node, { most: 0.05 }, decode, outside),
    judge("load from the page cache, s", node, { most: 2 }, load, ({ totalMs }) => totalMs.median / 1000),
    judge(
      "resident with 2048 positions, GB",
      node,
      { most: 2 },
      load,
      ({ afterContext }) => afterContext.residentBytes / 1e9,
    ),
  ];
}

/** The longest context ends where the model does, a few tokens before 4096. */
function slowdown({ rows }: DecodeFigures): number | undefined {
  const rate = (fits: (context: number) => boolean) =>
    rows.find(({ threads, context }) => threads === 2 && fits(context))?.tokensPerSecond.median;
  const [short, long] = [rate((context) => context === 128), rate((context) => context > 4000)];
  return short === undefined || long === undefined ? undefined : long / short;
}
