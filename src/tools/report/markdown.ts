/** The report as Markdown. */
import * as check from "../../check.js";
import { type Block, sectionsOf } from "./document.js";
import type { ReportData } from "./measure.js";

/** A report as Markdown: the tables of the page, without its charts. */
export function renderMarkdown(data: ReportData): string {
  check.object("what measureReport gives")("data", data);
  const sections = sectionsOf(data).map(({ title, blocks }) => {
    const parts = blocks.filter(({ kind }) => kind !== "chart").map(blockText);
    return `## ${title}\n\n${parts.join("\n\n")}\n`;
  });
  return `# Report of ${escapeText(data.model.filename)}\n\n${sections.join("\n")}`;
}

function blockText(block: Block): string {
  switch (block.kind) {
    case "text":
      return escapeText(block.text);
    case "alert":
      return `**${escapeText(block.text)}**`;
    case "code":
      return fenced(block.text);
    case "table":
      return [row(block.head), row(block.head.map(() => "---")), ...block.rows.map(row)].join("\n");
    case "chart":
      return "";
    default:
      return block satisfies never;
  }
}

const row = (cells: readonly string[]) =>
  `| ${cells.map((cell) => escapeText(cell).replaceAll("|", "\\|")).join(" | ")} |`;

/** What a model or a file says is text, not markup. */
const escapeText = (text: string) => text.replace(/[\\`*_<>[\]]/g, "\\$&").replaceAll("\n", " ");

/** A fence longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
