/** The result files of one machine. */
import { readdir, readFile } from "node:fs/promises";
import { RESULTS, type Result } from "../results.js";

export interface ResultFile<Figures> extends Result<Figures> {
  /** "decode-int8" */
  readonly name: string;
  readonly nodeMajor: number;
}

export class MachineResults {
  private constructor(
    readonly machine: string,
    readonly files: readonly ResultFile<unknown>[],
  ) {}

  static async read(machine: string): Promise<MachineResults> {
    const directory = `${RESULTS}${machine}/`;
    const names = (await readdir(directory)).filter((file) => file.endsWith(".json")).sort();
    const files = names.map(async (file) => {
      const result = JSON.parse(await readFile(`${directory}${file}`, "utf8")) as Result<unknown>;
      return { ...result, name: file.slice(0, file.indexOf(".")), nodeMajor: Number.parseInt(result.node, 10) };
    });
    return new MachineResults(machine, await Promise.all(files));
  }

  /** Files named `what`, or `what` and more: decode, decode-int8. */
  all<Figures>(what: string): ResultFile<Figures>[] {
    return this.files.filter(({ name }) => name === what || name.startsWith(`${what}-`)) as ResultFile<Figures>[];
  }
  one<Figures>(name: string, nodeMajor: number): ResultFile<Figures> | undefined {
    return this.files.find((file) => file.name === name && file.nodeMajor === nodeMajor) as
      | ResultFile<Figures>
      | undefined;
  }
}

/** A Markdown table; columns of numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const rule = head.map((_, i) => (rows.every((row) => /^[-\d.,]+( %|×| s)?$|^$/.test(`${row[i]}`)) ? "---:" : "---"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

export const fixed = (digits: number) => (value: number) => value.toFixed(digits);
export const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
