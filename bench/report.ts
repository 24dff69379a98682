/**
 * Writes the tables of docs/benchmarks.md and the charts from the files under bench/results/. What stands between
 * `<!-- figures: MACHINE SECTION -->` and `<!-- end -->` is made here; the rest of the page is written by hand.
 *
 *   npm run build && node dist/bench/report.js
 */
import { readFile, writeFile } from "node:fs/promises";
import { CHARTS } from "./report/charts.js";
import { MachineResults } from "./report/files.js";
import { SECTIONS } from "./report/tables.js";
import { RESULTS, ROOT } from "./results.js";

const PAGE = `${ROOT}docs/benchmarks.md`;
const FIGURES = /(<!-- figures: (\S+) (\S+) -->\n)[\s\S]*?(<!-- end -->)/g;

const page = await readFile(PAGE, "utf8");
const machines = new Set([...page.matchAll(FIGURES)].map(([, , machine]) => machine));
const results = new Map(
  await Promise.all([...machines].map(async (machine) => [machine, await MachineResults.read(machine)] as const)),
);

const filled = page.replace(FIGURES, (_whole, begin: string, machine: string, name: string, end: string) => {
  const section = SECTIONS[name];
  const measured = results.get(machine);
  if (section === undefined || measured === undefined) throw new Error(`${PAGE}: no section "${machine} ${name}"`);
  return `${begin}\n${section(measured)}\n\n${end}`;
});
await writeFile(PAGE, filled);
for (const [machine, measured] of results) {
  for (const [name, chart] of Object.entries(CHARTS)) {
    if (measured.all(name).length > 0) await writeFile(`${RESULTS}${machine}/${name}.svg`, chart(measured));
  }
}
