/** The charts of docs/benchmarks.md, as SVG. */
import { type EChartsOption, init } from "echarts";
import type { DecodeFigures } from "../decode.js";
import type { KernelFigures } from "../kernels.js";
import type { PeerFigures } from "../peers.js";
import type { MachineResults } from "./files.js";

function render(option: EChartsOption, height: number): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 860, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    legend: { top: 46, itemGap: 34 },
    // widths are guessed where there is no canvas: some room for wider fonts
    grid: { left: 50, right: 50, top: 84, bottom: 10, containLabel: true },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

/** Tokens a second of both engines, in pairs. */
function peers(results: MachineResults): string {
  const rows = results.all<PeerFigures>("peers").flatMap(({ nodeMajor, figures }) =>
    figures.rows.map((row) => {
      const { question, threads } = row;
      const test = question.kind === "generate" ? "generation" : "prompt";
      const wide = figures.revectorize ? ", revectorized" : "";
      return { ...row, label: `${test}, ${figures.head} head${wide}, ${threads} thr., Node ${nodeMajor}` };
    }),
  );
  rows.reverse(); // a bar chart begins at the bottom
  const series = (name: string, data: readonly number[]) => ({
    name,
    type: "bar" as const,
    data: data.map((value) => Number(value.toFixed(1))),
    label: { show: true, position: "right" as const },
  });
  return render(
    {
      title: { text: "Tokens a second, 2B-4T shape, in alternation" },
      xAxis: { type: "value" },
      yAxis: { type: "category", data: rows.map(({ label }) => label) },
      series: [
        series(
          "node-llama-cpp, TQ2_0",
          rows.map(({ theirs }) => theirs.median),
        ),
        series(
          "Ternion",
          rows.map(({ ours }) => ours.median),
        ),
      ],
    },
    110 + 52 * rows.length,
  );
}

/** Time of a token by op over the contexts, most threads. */
function decode(results: MachineResults): string {
  const files = results.all<DecodeFigures>("decode").filter(({ figures }) => figures.head === "exact");
  const rows = files.flatMap(({ nodeMajor, figures }) => {
    const most = Math.max(...figures.rows.map(({ threads }) => threads));
    return figures.rows.filter(({ threads }) => threads === most).map((row) => ({ ...row, kv: figures.kv, nodeMajor }));
  });
  const ops = [...new Set(rows.flatMap((row) => row.ops.slice(0, 6).map(({ op }) => op)))];
  const value = (row: (typeof rows)[number], op: string) => row.ops.find((one) => one.op === op)?.ms ?? 0;
  return render(
    {
      title: { text: "Milliseconds of a token by op" },
      xAxis: {
        type: "category",
        data: rows.map(({ context, kv, nodeMajor }) => `${context}, ${kv}\nNode ${nodeMajor}`),
      },
      yAxis: { type: "value" },
      series: ops.map((op) => ({
        name: op,
        type: "bar",
        stack: "token",
        data: rows.map((row) => Number(value(row, op).toFixed(2))),
      })),
    },
    380,
  );
}

/** GB/s of the kernels that read weights from memory, and of a plain read. */
function kernels(results: MachineResults): string {
  const files = results.all<KernelFigures>("kernels").filter(({ name }) => name === "kernels");
  const rows = files.flatMap(({ nodeMajor, figures }) => {
    const reads = Object.entries(figures.readBandwidth).map(([threads, gbPerSecond]) => {
      return { label: "plain read", threads: Number(threads), gbPerSecond, nodeMajor };
    });
    const fromMemory = figures.rows.filter(({ shareOfRead }) => shareOfRead !== null);
    return [
      ...reads,
      ...fromMemory.map((row) => ({ ...row, label: `${row.kernel} ${row.shape.split(",")[0]}`, nodeMajor })),
    ];
  });
  const labels = [...new Set(rows.map(({ label }) => label))].reverse();
  const kinds = [...new Set(rows.map(({ nodeMajor, threads }) => `Node ${nodeMajor}, ${threads} threads`))];
  const at = (label: string, kind: string) =>
    rows.find((row) => row.label === label && kind === `Node ${row.nodeMajor}, ${row.threads} threads`)?.gbPerSecond;
  return render(
    {
      title: { text: "GB/s of kernels that read from memory" },
      xAxis: { type: "value" },
      yAxis: { type: "category", data: labels },
      series: kinds.map((kind) => ({
        name: kind,
        type: "bar",
        data: labels.map((label) => Number((at(label, kind) ?? 0).toFixed(1))),
      })),
    },
    110 + 14 * labels.length * kinds.length,
  );
}

export const CHARTS: Readonly<Record<string, (results: MachineResults) => string>> = { peers, decode, kernels };
