/** The golden models of test/golden: tokens, every intermediate and the logits, from a float64 forward pass. */
import { readFile } from "node:fs/promises";
import type { WeightSource } from "../src/backend/backend.js";
import { openGguf } from "../src/engine/input.js";
import type { ModelConfig } from "../src/model/config.js";
import { modelOf } from "../src/model/open.js";

/** bitnet-b1.58, and models of other architectures. */
export const GOLDEN_MODELS = ["tiny", "gqa"] as const;
export const GOLDEN_FAMILIES = [
  "llama-q8",
  "llama-ropefreqs",
  "llama-tq2",
  "bitnet-tq1",
  "qwen3-q2",
  "qwen3-yarn",
] as const;
export type GoldenName = (typeof GOLDEN_MODELS)[number] | (typeof GOLDEN_FAMILIES)[number];

export interface Golden {
  readonly path: string;
  readonly tokens: readonly number[];
  readonly config: ModelConfig;
  readonly sources: WeightSource[];
  /** (tokens, width) values of a named intermediate */
  tensor(name: string): Float32Array;
  readonly names: readonly string[];
}

/** Path of a file of the repository: tests run from dist/test. */
export const repositoryFile = (path: string) => new URL(`../../${path}`, import.meta.url).pathname;

interface Index {
  readonly tokens: number[];
  readonly tensors: { name: string; shape: number[]; offset: number }[];
}

export async function loadGolden(name: GoldenName): Promise<Golden> {
  const path = repositoryFile(`test/golden/${name}/model.gguf`);
  const index = JSON.parse(await readFile(repositoryFile(`test/golden/${name}/golden.json`), "utf8")) as Index;
  const bytes = await readFile(repositoryFile(`test/golden/${name}/golden.bin`));
  const { config, sources } = await modelOf(await openGguf(path), false);
  const byName = new Map(index.tensors.map((tensor) => [tensor.name, tensor]));
  return {
    path,
    tokens: index.tokens,
    config,
    sources: [...sources],
    names: [...byName.keys()],
    tensor(tensorName) {
      const found = byName.get(tensorName);
      if (found === undefined) throw new Error(`no golden tensor ${tensorName}`);
      const count = found.shape.reduce((a, b) => a * b, 1);
      const start = bytes.byteOffset + found.offset;
      return new Float32Array(bytes.buffer.slice(start, start + 4 * count));
    },
  };
}

/** Norm of the difference over norm of the row, for each row. */
export function rowErrors(got: Float32Array, want: Float32Array, rows: number): number[] {
  const width = want.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    let [difference, norm] = [0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      difference += (got[i] - want[i]) ** 2;
      norm += want[i] ** 2;
    }
    return Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE));
  });
}

export function argmax(row: Float32Array): number {
  return row.reduce((best, value, i) => (value > row[best] ? i : best), 0);
}
