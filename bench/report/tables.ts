/** The tables of docs/benchmarks.md, one function a section. */

import type { BenchRow } from "../../src/cli/bench-row.js";
import type { DecodeFigures } from "../decode.js";
import type { FamilyFigures, Speed } from "../families.js";
import type { GpuKernelFigures } from "../gpu-kernels.js";
import type { KernelFigures } from "../kernels.js";
import type { LoadFigures } from "../load.js";
import type { PeerFigures } from "../peers.js";
import type { PrefillFigures } from "../prefill.js";
import type { ServerFigures } from "../server.js";
import type { SessionsFigures } from "../sessions.js";
import type { Summary } from "../statistics.js";
import type { ThreadsFigures } from "../threads.js";
import { fixed, type MachineResults, percent, type ResultFile, table } from "./files.js";
import { targets } from "./targets.js";

type Section = (results: MachineResults) => string;

/** "exact", "int8", "f16, f32 cache, revectorized" */
function variant({ name }: ResultFile<unknown>): string {
  const words = name.split("-");
  const head = words.find((word) => word === "int8" || word === "f16") ?? "exact";
  return [head, words.includes("f32") ? "f32 cache" : "", words.includes("revectorize") ? "revectorized" : ""]
    .filter((word) => word !== "")
    .join(", ");
}

const chart = ({ machine }: MachineResults, name: string, text: string) =>
  `![${text}](../bench/results/${machine}/${name}.svg)`;

const origin: Section = ({ files }) => {
  const [{ cpu, threads, memoryBytes }] = files;
  const rows = files.map((file) => [
    file.name,
    file.node,
    file.date.slice(0, 16).replace("T", " "),
    `\`${file.command}\``,
  ]);
  const machine = `${cpu}, ${threads} processors, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB.`;
  return `${machine}\n\n${table(["result", "Node.js", "date (UTC)", "command"], rows)}`;
};

const kernels: Section = (results) => {
  const parts = results.all<KernelFigures>("kernels").map(({ node, figures }) => {
    const counts = Object.keys(figures.readBandwidth);
    const read = counts.map((count) => `${count}: ${figures.readBandwidth[count].toFixed(1)} GB/s`).join(", ");
    const barrier = counts.map((count) => `${count}: ${figures.barrierMicroseconds[count].toFixed(2)} µs`).join(", ");
    const rows = figures.rows.map((row) => [
      row.kernel,
      row.shape,
      row.threads,
      row.ms.toFixed(3),
      row.gmacPerSecond === 0 ? "" : row.gmacPerSecond.toFixed(1),
      row.gbPerSecond.toFixed(1),
      row.shareOfRead === null ? "" : percent(row.shareOfRead),
    ]);
    const head = ["kernel", "shape", "threads", "ms", "GMAC/s", "GB/s", "of read"];
    return `Node.js ${node}. Reads by threads: ${read}. A barrier: ${barrier}.\n\n${table(head, rows)}`;
  });
  return [chart(results, "kernels", "kernels and read bandwidth"), ...parts].join("\n\n");
};

const decode: Section = (results) => {
  const files = results.all<DecodeFigures>("decode");
  const rows = files.flatMap((file) =>
    file.figures.rows.map((row) => [
      file.nodeMajor,
      variant(file),
      row.threads,
      row.context,
      row.tokensPerSecond.median.toFixed(2),
      `${row.tokensPerSecond.min.toFixed(2)} to ${row.tokensPerSecond.max.toFixed(2)}`,
      row.msPerToken.toFixed(1),
      percent(row.ternaryShareOfRead),
      percent(Math.max(0, row.outsideOps)),
    ]),
  );
  const head = ["Node.js", "head", "threads", "context", "tokens/s", "range", "ms", "ternary, of read", "outside ops"];
  return [chart(results, "decode", "time of a token by op"), table(head, rows), opTable(files)].join("\n\n");
};

/** Milliseconds of a token by op at each context, most threads. */
function opTable(files: readonly ResultFile<DecodeFigures>[]): string {
  const parts = files.map((file) => {
    const most = Math.max(...file.figures.rows.map(({ threads }) => threads));
    const rows = file.figures.rows.filter(({ threads }) => threads === most);
    const ops = rows[0].ops.map(({ op }) => op);
    const cells = ops.map((op) => [
      op,
      ...rows.map((row) => row.ops.find((one) => one.op === op)?.ms.toFixed(2) ?? ""),
    ]);
    const head = ["op, ms a token", ...rows.map(({ context }) => `${context}`)];
    return `Node.js ${file.node}, head ${variant(file)}, ${most} threads, by context:\n\n${table(head, cells)}`;
  });
  return parts.join("\n\n");
}

const prefill: Section = (results) => {
  const rows = results.all<PrefillFigures>("prefill").flatMap((file) =>
    file.figures.rows.map((row) => {
      const total = row.ops.reduce((sum, { ms }) => sum + ms, 0);
      const share = (op: string) => percent((row.ops.find((one) => one.op === op)?.ms ?? 0) / total);
      return [
        file.nodeMajor,
        variant(file),
        row.threads,
        row.prompt,
        row.tokensPerSecond.median.toFixed(1),
        `${row.tokensPerSecond.min.toFixed(1)} to ${row.tokensPerSecond.max.toFixed(1)}`,
        row.ternaryGmacPerSecond.toFixed(0),
        share("ternary"),
        share("attend"),
      ];
    }),
  );
  const head = ["Node.js", "head", "threads", "prompt", "tokens/s", "range", "ternary GMAC/s", "ternary", "attention"];
  return table(head, rows);
};

const load: Section = (results) => {
  const parts = results.all<LoadFigures>("load").map((file) => {
    const { totalMs, steps, afterLoad, afterContext, context, threads } = file.figures;
    const gb = (bytes: number) => (bytes / 1e9).toFixed(2);
    const rows = steps.map(({ component, ms, bytes }) => [component, ms.toFixed(0), (bytes / 1e6).toFixed(1)]);
    const total = `median ${totalMs.median.toFixed(0)} ms (${totalMs.min.toFixed(0)} to ${totalMs.max.toFixed(0)})`;
    const resident =
      `Resident: ${gb(afterLoad.residentBytes)} GB after loading, ${gb(afterContext.residentBytes)} GB with ` +
      `${context} positions in use (at most ${gb(afterContext.maxResidentBytes)} GB on the way).`;
    const what = `Node.js ${file.node}, head ${variant(file)}, ${threads} threads: ${total}.`;
    return `${what} ${resident}\n\n${table(["step", "ms", "MB"], rows)}`;
  });
  return parts.join("\n\n");
};

const peers: Section = (results) => {
  const files = results.all<PeerFigures>("peers");
  const rate = fixed(2);
  const rows = files.flatMap((file) =>
    file.figures.rows.map(({ threads, question, ours, theirs, ratio }) => [
      question.kind === "generate" ? `generation at ${question.context}` : `prompt of ${question.tokens}`,
      file.nodeMajor,
      variant(file),
      threads,
      rate(ours.median),
      rate(theirs.median),
      `${ratio.toFixed(2)}×`,
      ours.samples.length,
    ]),
  );
  const head = ["test", "Node.js", "head", "threads", "Ternion", "node-llama-cpp", "ratio", "rounds"];
  const who = [...new Set(files.map(({ figures }) => figures.theirs))].join("; ");
  return [chart(results, "peers", "Ternion and node-llama-cpp"), table(head, rows), `Beside: ${who}.`].join("\n\n");
};

const targetTable: Section = (results) => {
  const rows = targets(results).map(({ what, node, limit, cache, value, met }) => {
    return [
      what,
      node,
      limit,
      cache ?? "",
      value ?? "",
      met === undefined ? "not measured" : met ? "met" : "**missed**",
    ];
  });
  return table(["target", "Node.js", "goal", "cache", "measured", ""], rows);
};

/** What `ternion bench --backend gpu --json` gave. */
interface GpuBenchFigures {
  readonly rows: readonly Pick<
    BenchRow,
    "n_prompt" | "n_gen" | "avg_ts" | "stddev_ts" | "gb_per_s" | "host_ns_per_token" | "dispatches_per_token"
  >[];
}

const gpuBench: Section = (results) => {
  const rows = results
    .all<GpuBenchFigures>("gpu-bench")
    .flatMap(({ date, figures }) =>
      figures.rows.map((row) => [
        date.slice(11, 16),
        row.n_gen > 0 ? `generation of ${row.n_gen}` : `prompt of ${row.n_prompt}`,
        row.avg_ts.toFixed(0),
        row.stddev_ts.toFixed(0),
        row.gb_per_s?.toFixed(0) ?? "",
        ((row.host_ns_per_token ?? 0) / 1000).toFixed(0),
        row.dispatches_per_token?.toFixed(1) ?? "",
      ]),
    );
  const head = ["time", "test", "tokens/s", "deviation", "GB/s", "host µs a token", "dispatches a token"];
  return table(head, rows);
};

const gpuKernels: Section = (results) => {
  const parts = results.all<GpuKernelFigures>("gpu-kernels").map(({ figures }) => {
    const rows = figures.rows.map((row) => [
      row.kernel,
      row.shape,
      row.microseconds.toFixed(2),
      row.gbPerSecond.toFixed(0),
      percent(row.shareOfCopy),
      row.tmacPerSecond === 0 ? "" : row.tmacPerSecond.toFixed(2),
    ]);
    const head = ["kernel", "shape", "µs", "GB/s", "of copy", "TMAC/s"];
    return `${figures.adapter}; a kernel that copies moves ${figures.copyGbPerSecond.toFixed(0)} GB/s.\n\n${table(head, rows)}`;
  });
  return parts.join("\n\n");
};

const threads: Section = (results) => {
  const parts = results.all<ThreadsFigures>("threads").map(({ node, figures }) => {
    const ratio = (summary: Summary | undefined) => (summary === undefined ? "" : summary.median.toFixed(2));
    const rows = figures.rows.map((row) => [
      row.place,
      row.threads,
      row.kind,
      row.tokensPerSecond.median.toFixed(0),
      `${row.tokensPerSecond.min.toFixed(0)} to ${row.tokensPerSecond.max.toFixed(0)}`,
      ratio(row.ofOneThread),
      ratio(row.ofBase),
    ]);
    const head = ["where", "threads", "test", "tokens/s", "range", "of one thread", "of base"];
    return `Node.js ${node}, ${figures.model}.\n\n${table(head, rows)}`;
  });
  return parts.join("\n\n");
};

const SERVER_FIGURES: Readonly<Record<string, string>> = {
  firstMs: "first token, ms",
  stallMs: "longest pause of the running answer, ms",
  tokensPerSecond: "tokens/s of all",
};

const server: Section = (results) => {
  const parts = results.all<ServerFigures>("server").map(({ node, figures }) => {
    const range = ({ min, max }: Summary) => `${min.toFixed(1)} to ${max.toFixed(1)}`;
    const rows = figures.rows.flatMap(({ question, ours, theirs }) =>
      Object.keys(ours)
        .filter((name) => ours[name].max > 0)
        .map((name) => [
          question.kind === "clients"
            ? `${question.clients} at once`
            : `prompt of ${question.prompt} ${question.running ? "beside an answer" : "alone"}`,
          SERVER_FIGURES[name],
          ours[name].median.toFixed(1),
          range(ours[name]),
          theirs?.[name].median.toFixed(1) ?? "",
          theirs === undefined ? "" : range(theirs[name]),
        ]),
    );
    const head = ["clients", "figure", "Ternion", "range", "peer", "range"];
    const who = figures.theirs === undefined ? "" : ` Peer: ${figures.theirs}.`;
    return `Node.js ${node}, ${figures.threads} threads.${who}\n\n${table(head, rows)}`;
  });
  return parts.join("\n\n");
};

const sessions: Section = (results) => {
  const rows = results
    .all<SessionsFigures>("sessions")
    .flatMap(({ nodeMajor, figures }) =>
      figures.rows.map(({ sessions, tokensPerSecond }) => [
        figures.on,
        nodeMajor,
        sessions,
        tokensPerSecond.median.toFixed(1),
        `${tokensPerSecond.min.toFixed(1)} to ${tokensPerSecond.max.toFixed(1)}`,
        `${(tokensPerSecond.median / figures.rows[0].tokensPerSecond.median).toFixed(2)}×`,
      ]),
    );
  return table(["on", "Node.js", "sessions", "tokens/s of all", "range", "of the first row"], rows);
};

const families: Section = (results) => {
  const parts = results.all<FamilyFigures>("families").map(({ node, figures }) => {
    const cells = ({ ours, theirs, ratio }: Speed) => [
      ours.median.toFixed(2),
      theirs?.median.toFixed(2) ?? "",
      ratio === undefined ? "" : `${ratio.toFixed(2)}×`,
    ];
    const rows = figures.rows.map((row) => [
      row.model,
      ...cells(row.generate),
      ...cells(row.prompt),
      row.matrices.toFixed(1),
      row.ofTernary.toFixed(2),
    ]);
    const head = ["model", "generation", "peer", "ratio", "prompt", "peer", "ratio", "matrices, GB/s", "of I2_S"];
    return `Node.js ${node}, ${figures.threads} threads; tokens/s.\n\n${table(head, rows)}`;
  });
  return parts.join("\n\n");
};

export const SECTIONS: Readonly<Record<string, Section>> = {
  origin,
  kernels,
  decode,
  prefill,
  load,
  peers,
  targets: targetTable,
  threads,
  server,
  sessions,
  families,
  "gpu-bench": gpuBench,
  "gpu-kernels": gpuKernels,
};
