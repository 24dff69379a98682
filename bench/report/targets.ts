/** What the CPU backend is meant to reach on the 2B-4T shape, and what was measured. */
import type { DecodeFigures, DecodeRow } from "../decode.js";
import type { LoadFigures } from "../load.js";
import type { PeerFigures } from "../peers.js";
import type { MachineResults } from "./files.js";

export interface Target {
  readonly what: string;
  readonly node: number;
  readonly limit: string;
  /** undefined: not measured */
  readonly value?: string;
  readonly met?: boolean;
}

const NODES = [20, 24] as const;
type Node = (typeof NODES)[number];

function judge(what: string, node: Node, bound: { least?: number; most?: number }, value: number | undefined): Target {
  const { least, most } = bound;
  const limit = least === undefined ? `at most ${most}` : `at least ${least}`;
  if (value === undefined) return { what, node, limit };
  const met = least === undefined ? value <= (most as number) : value >= least;
  return { what, node, limit, value: value.toFixed(2), met };
}

export function targets(results: MachineResults): Target[] {
  return NODES.flatMap((node) => [...peerTargets(results, node), ...ownTargets(results, node)]);
}

function peerTargets(results: MachineResults, node: Node): Target[] {
  const ratio = (name: string, threads: number) =>
    results.one<PeerFigures>(name, node)?.figures.rows.find((row) => row.threads === threads)?.ratio;
  const generation = "generation at context 256, of node-llama-cpp";
  const wanted = { 20: [1.3, 1.5], 24: [1.6, 1.8] }[node];
  const prompt = judge("prompt, 2 threads, of node-llama-cpp", node, { least: 1.4 }, ratio("peers-prompt", 2));
  const wide = ratio("peers-prompt-revectorize", 2);
  return [
    judge(`${generation}, 1 thread`, node, { least: wanted[0] }, ratio("peers-generate", 1)),
    judge(`${generation}, 2 threads`, node, { least: wanted[1] }, ratio("peers-generate", 2)),
    prompt,
    ...(node === 24 ? [judge("the same with `--revectorize`", node, { least: 2.2 }, wide)] : []),
  ];
}

function ownTargets(results: MachineResults, node: Node): Target[] {
  const rows = results.one<DecodeFigures>("decode", node)?.figures.rows.filter(({ threads }) => threads === 2);
  const load = results.one<LoadFigures>("load", node)?.figures;
  const at = (context: number) => rows?.find((row) => row.context === context);
  const near = at(256);
  const resident = load && load.afterContext.residentBytes / 1e9;
  const share = { 20: 0.7, 24: 0.85 }[node];
  return [
    judge("generation at 4096, of that at 128", node, { least: 0.6 }, slowdown(rows)),
    judge("ternary part, of the read bandwidth, 2 threads", node, { least: share }, near?.ternaryShareOfRead),
    judge("time outside ops, of a token", node, { most: 0.05 }, near?.outsideOps),
    judge("load from the page cache, s", node, { most: 2 }, load && load.totalMs.median / 1000),
    judge("resident with 2048 positions, GB", node, { most: 2 }, resident),
  ];
}

/** The longest context ends where the model does, a few tokens before 4096. */
function slowdown(rows: readonly DecodeRow[] | undefined): number | undefined {
  const rate = (fits: (context: number) => boolean) => rows?.find((row) => fits(row.context))?.tokensPerSecond.median;
  const [short, long] = [rate((context) => context === 128), rate((context) => context > 4000)];
  return short === undefined || long === undefined ? undefined : long / short;
}
