/** The report as one page without scripts and without anything from elsewhere. */
import * as check from "../../check.js";
import { installCommand } from "../../platform/package.js";
import { type ChartName, renderCharts } from "./charts.js";
import { type Block, sectionsOf } from "./document.js";
import type { ReportData } from "./measure.js";

/** Allows styles of the page and nothing else: no script runs and nothing is fetched. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 860px; margin: 2em auto; padding: 0 1em; }
h2 { margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { text-align: left; vertical-align: top; padding: .3em 1.2em .3em 0; border-bottom: 1px solid #eee; }
pre { background: #f6f6f6; padding: .8em; white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 1em 0; }
svg { max-width: 100%; height: auto; }
.alert { background: #fff1e0; border-left: 4px solid #d60; padding: .6em 1em; font-weight: 600; }`;

/** Without the chart package, which is optional, a page without charts that says so: its tables have every figure. */
export async function renderHtml(data: ReportData): Promise<string> {
  check.object("what measureReport gives")("data", data);
  const charts = await renderCharts(data);
  const title = `Report of ${escapeHtml(data.model.filename)}`;
  const sections = sectionsOf(data).map(({ title: heading, blocks }) => {
    return `<section>\n<h2>${escapeHtml(heading)}</h2>\n${blocks.map((block) => blockHtml(block, charts)).join("\n")}\n</section>`;
  });
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${STYLE}
</style>
</head>
<body>
<h1>${title}</h1>
${charts === undefined ? withoutCharts() : ""}${sections.join("\n")}
</body>
</html>
`;
}

const withoutCharts = () =>
  `<p>Charts are left out: the package echarts is not installed. Add it with <code>${installCommand("echarts")}</code>.</p>\n`;

function blockHtml(block: Block, charts: ReadonlyMap<ChartName, string> | undefined): string {
  switch (block.kind) {
    case "text":
      return `<p>${escapeHtml(block.text)}</p>`;
    case "alert":
      return `<p class="alert">${escapeHtml(block.text)}</p>`;
    case "code":
      return `<pre>${escapeHtml(block.text)}</pre>`;
    case "table":
      return `<table>\n${row("th", block.head)}\n${block.rows.map((cells) => row("td", cells)).join("\n")}\n</table>`;
    case "chart":
      return charts === undefined ? "" : `<figure id="${block.chart}">${charts.get(block.chart) ?? ""}</figure>`;
    default:
      return block satisfies never;
  }
}

function row(tag: "th" | "td", cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES[character]);
