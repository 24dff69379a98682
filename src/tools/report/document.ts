/** The report as sections of paragraphs, tables and charts, from which Markdown and HTML are written alike. */
import type { ChartName } from "./charts.js";
import { PROFILED_TOKENS, type ReportData } from "./measure.js";
import { SPEED_MARK } from "./verdict.js";

export type Block =
  | { readonly kind: "text"; readonly text: string }
  /** a paragraph to be seen first */
  | { readonly kind: "alert"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  /** left out of Markdown: a table beside it has the figures */
  | { readonly kind: "chart"; readonly chart: ChartName };

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

const text = (line: string): Block => ({ kind: "text", text: line });
const chart = (name: ChartName): Block => ({ kind: "chart", chart: name });
const table = (head: readonly string[], rows: readonly (readonly string[])[]): Block => ({ kind: "table", head, rows });
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;

export function sectionsOf(data: ReportData): Section[] {
  const mark = data.verdict.status === "failed" ? ` (${SPEED_MARK})` : "";
  const speed = (value: number | undefined, unit = "tokens/s") =>
    value === undefined ? "" : `${value.toFixed(value < 10 ? 2 : 1)} ${unit}${mark}`;
  return [
    verdictSection(data),
    machineSection(data),
    loadSection(data),
    speedSection(data, speed),
    opSection(data),
    trafficSection(data, speed),
    promptSection(data, speed),
    perplexitySection(data),
  ];
}

type Speed = (value: number | undefined, unit?: string) => string;

function verdictSection({ verdict: { status, summary } }: ReportData): Section {
  const line = `Verify: ${status}. ${summary}`;
  return { title: "Verdict", blocks: [status === "passed" ? text(line) : { kind: "alert", text: line }] };
}

function machineSection({ machine, model, backend, memory }: ReportData): Section {
  const features = machine.cpuFeatures.length > 0 ? ` (${machine.cpuFeatures.join(" ")})` : "";
  const rows = [
    ["model", `${model.filename}: ${model.type}, ${(model.weights / 1e6).toFixed(1)} M weights, ${mb(model.bytes)}`],
    ["backend", backend],
    ["processor", `${machine.cpu}${features}`],
    ["cores", `${machine.cores} usable of ${machine.processors}`],
    ["memory of the machine", `${(machine.memoryBytes / 1e9).toFixed(1)} GB`],
    ["memory held by the engine", mb(memory.engineBytes)],
    ["memory of the process", `${mb(memory.processBytes)}, at most ${mb(memory.mostProcessBytes)}`],
    ["system", machine.system],
    ["versions", `ternion ${machine.ternion}, Node.js ${machine.node}, V8 ${machine.v8}`],
    ["date", machine.date],
  ];
  return { title: "Machine, model and memory", blocks: [table(["what", "value"], rows)] };
}

function loadSection({ load: { steps, totalMs, repairs } }: ReportData): Section {
  const rows = steps.map(({ component, ms, bytes }) => [
    component,
    `${ms.toFixed(1)} ms`,
    percent(ms, totalMs),
    bytes > 0 ? mb(bytes) : "",
  ]);
  const repaired = repairs.map(({ key, problem, replacement: used }) =>
    text(`Repaired: ${key}: ${problem}; used ${used}.`),
  );
  const note = `${totalMs.toFixed(1)} ms in all. Weights and tokenizer are loaded at the same time, so that the parts may come to more than 100 %.`;
  return {
    title: "Loading",
    blocks: [
      text(note),
      chart("load"),
      table(["component", "time", "of the whole", "read or allocated"], rows),
      ...repaired,
    ],
  };
}

function speedSection({ speeds, leftOut }: ReportData, speed: Speed): Section {
  const rows = speeds.map(({ context, promptPerSecond, tokensPerSecond, repetitions }) => [
    String(context),
    speed(promptPerSecond),
    speed(tokensPerSecond),
    String(repetitions),
  ]);
  return {
    title: "Speed by length of context",
    blocks: [
      chart("promptSpeed"),
      chart("generationSpeed"),
      table(["tokens of context", "prompt", "generation after it", "repetitions"], rows),
      ...leftOut.map(({ context, reason }) => text(`Left out: ${context} tokens; ${reason}.`)),
    ],
  };
}

function opSection({ ops }: ReportData): Section {
  const title = "Time of a token by op";
  const all = ops.reduce((sum, { ms }) => sum + ms, 0);
  if (all === 0) return { title, blocks: [text("This backend measures no ops.")] };
  const rows = [...ops]
    .sort((a, b) => b.ms - a.ms)
    .map(({ op, calls, ms }) => [op, String(calls), `${(ms / PROFILED_TOKENS).toFixed(3)} ms`, percent(ms, all)]);
  return {
    title,
    blocks: [
      text(`Of ${PROFILED_TOKENS} generated tokens at a short context.`),
      chart("ops"),
      table(["op", "calls", "a token", "of the whole"], rows),
    ],
  };
}

function trafficSection({ traffic }: ReportData, speed: Speed): Section {
  const title = "Bytes moved";
  if (traffic === undefined) return { title, blocks: [text("Measured for the CPU backend only.")] };
  const { weightBytes, cacheBytesPerPosition, rows, roofGbPerSecond } = traffic;
  const note =
    `A token reads ${mb(weightBytes)} of weights and ${cacheBytesPerPosition} bytes of keys and values for each position ` +
    `of its context. A plain read by as many threads gives ${roofGbPerSecond.toFixed(1)} GB/s on this machine: the roof, ` +
    "unless a model is so small that it stays in the caches.";
  const cells = rows.map(({ context, bytesPerToken, gbPerSecond }) => [
    String(context),
    mb(bytesPerToken),
    speed(gbPerSecond, "GB/s"),
    `${percent(gbPerSecond, roofGbPerSecond)}`,
  ]);
  const head = ["tokens of context", "bytes a token", "moved", "of the roof"];
  return { title, blocks: [text(note), chart("traffic"), table(head, cells)] };
}

function promptSection({ prompts }: ReportData, speed: Speed): Section {
  const blocks = prompts.flatMap(({ prompt, text: answer, tokens, ended, tokensPerSecond }): Block[] => {
    const rate = tokensPerSecond === undefined ? "" : `, ${speed(tokensPerSecond)}`;
    return [text(`${prompt} - ${tokens} tokens, ended by ${ended}${rate}`), { kind: "code", text: answer }];
  });
  return { title: "Standard prompts, answered greedily", blocks };
}

function perplexitySection({ perplexity: { perplexity, loss, lossError, tokens }, selfCheck }: ReportData): Section {
  const figures = `loss ${loss.toFixed(3)} +- ${lossError.toFixed(3)} nats a token over ${tokens} tokens`;
  const { ok, perplexity: probe, limit } = selfCheck;
  const line = `Self-check: ${probe.toFixed(1)} on a short probe, which is ${ok ? "below" : "NOT below"} ${limit.toFixed(1)}`;
  return {
    title: "Perplexity",
    blocks: [
      text(`${perplexity.toFixed(2)} on a built-in text: ${figures}.`),
      ok ? text(`${line}.`) : { kind: "alert", text: `${line}: this model makes no sense of plain English.` },
    ],
  };
}
