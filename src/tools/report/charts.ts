/** The charts of the report, rendered to SVG here, so that the page needs no script. */
import type { EChartsOption } from "echarts";
import { isMissing } from "../../platform/package.js";
import type { ReportData } from "./measure.js";
import { SPEED_MARK } from "./verdict.js";

export type ChartName = "load" | "promptSpeed" | "generationSpeed" | "ops" | "traffic";

/** SVG of each chart that the data have figures for; undefined where the package `echarts` is not installed. */
export async function renderCharts(data: ReportData): Promise<Map<ChartName, string> | undefined> {
  const echarts = await loadECharts();
  if (echarts === undefined) return undefined;
  const charts = new Map<ChartName, string>();
  for (const [name, { option, height }] of Object.entries(chartsOf(data)) as [ChartName, Chart][]) {
    const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 820, height });
    chart.setOption({
      animation: false,
      grid: { left: 16, right: 90, top: 72, bottom: 40, containLabel: true },
      ...option,
    });
    charts.set(name, chart.renderToSVGString());
    chart.dispose();
  }
  return charts;
}

async function loadECharts() {
  try {
    return await import("echarts");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

interface Chart {
  readonly option: EChartsOption;
  /** pixels */
  readonly height: number;
}

function chartsOf({ load, speeds, ops, traffic, verdict }: ReportData): Partial<Record<ChartName, Chart>> {
  const mark = verdict.status === "failed" ? ` - ${SPEED_MARK}` : "";
  const contexts = speeds.map(({ context }) => String(context));
  const speed = (title: string, values: readonly number[]) => lines(`${title}, tokens/s${mark}`, contexts, values);
  const shares = [...ops].sort((a, b) => b.ms - a.ms);
  const all = shares.reduce((sum, { ms }) => sum + ms, 0);
  return {
    load: bars(
      "Time of loading, ms",
      load.steps.map(({ component, ms }) => [component, ms]),
    ),
    ...(speeds.length > 0 && {
      promptSpeed: speed(
        "Prompt speed by tokens of the prompt",
        speeds.map((point) => point.promptPerSecond),
      ),
      generationSpeed: speed(
        "Generation speed by tokens of context",
        speeds.map((point) => point.tokensPerSecond),
      ),
    }),
    ...(all > 0 && {
      ops: bars(
        "Time of a token by op, %",
        shares.map(({ op, ms }) => [op, (100 * ms) / all]),
      ),
    }),
    ...(traffic !== undefined && {
      traffic: bars(`Bytes moved, GB/s${mark}`, [
        ["plain read: the roof", traffic.roofGbPerSecond],
        ...traffic.rows.map(({ context, gbPerSecond }) => [`at ${context} tokens`, gbPerSecond] as const),
      ]),
    }),
  };
}

const rounded = (value: number) => Number(value.toPrecision(3));

function bars(title: string, rows: readonly (readonly [string, number])[]): Chart {
  const upwards = [...rows].reverse(); // a bar chart begins at the bottom
  const option: EChartsOption = {
    title: { text: title },
    xAxis: { type: "value" },
    yAxis: { type: "category", data: upwards.map(([name]) => name) },
    series: [
      { type: "bar", data: upwards.map(([, value]) => rounded(value)), label: { show: true, position: "right" } },
    ],
  };
  return { option, height: 110 + 28 * rows.length };
}

function lines(title: string, names: readonly string[], values: readonly number[]): Chart {
  const option: EChartsOption = {
    title: { text: title },
    xAxis: { type: "category", data: [...names], name: "tokens" },
    yAxis: { type: "value", min: 0 },
    series: [{ type: "line", data: values.map(rounded), symbolSize: 8, label: { show: true, position: "top" } }],
  };
  return { option, height: 280 };
}
