/** A norm and the ternary matrices that read it for a single row, in one dispatch. */
import type { Activation } from "../../backend.js";
import type { Call, Window } from "../device/kernel.js";
import { CHUNK } from "./attend.js";
import { type CacheLayer, ROTATE_FILES, rotateConstants } from "./cache.js";
import {
  DENSE_TYPES,
  type Dense,
  type Fragment,
  f32,
  NORM_FILES,
  type QuantizedWindows,
  read,
  u32,
  written,
} from "./operands.js";
import {
  blocksOf,
  bytesOf,
  MATRICES,
  MATRIX_PARAMS,
  matrixBindings,
  matrixParams,
  matrixWindows,
  type TernaryProjection,
} from "./ternary.js";

export interface RowOperands {
  /** f32 (columns), or what chunks of attention add up to; no projection writes to it */
  readonly x: Window | Partials;
  readonly weight: Dense;
  readonly eps: number;
  /** a multiple of 128 */
  readonly columns: number;
  /** receives the row as `normQuantize` leaves it */
  readonly quantized: QuantizedWindows;
  /** 1 to 3 whose codes lie in one buffer, all with scales of blocks or none; with `addTo` only one */
  readonly projections: readonly TernaryProjection[];
}

/** A row in chunks, as `attendSplit` leaves it, and where the row itself goes. */
export interface Partials {
  readonly partials: Window;
  readonly positions: Window;
  readonly chunks: number;
  readonly headDim: number;
  /** f32 (columns) */
  readonly context: Window;
}

/** What follows the matrices in the same dispatch. */
export type Finish =
  /** results are kept, and added to the residual stream where asked */
  | { readonly kind: "store" }
  | Rope
  /** of two matrices the first one's result becomes activation(first) * second */
  | { readonly kind: "gate"; readonly activation: Activation };

/** The first two of three matrices are rotated, as `ropeStore` does, and the last two stored in the cache. */
export interface Rope {
  readonly kind: "rope";
  /** i32: the slot, and at index `positionAt` the position */
  readonly places: Window;
  readonly positionAt: number;
  /** of a headDim that is a multiple of 32 */
  readonly cache: CacheLayer;
}

/** Teams of a workgroup, see wgsl/ternary-row/, and outputs of a team. */
const TEAMS = 16;
const OUTPUTS = { store: 2, rope: 2, gate: 4 } as const;

/** Vectors of codes that a thread asks for early, of all its outputs together. */
const MOST_AHEAD = 12;

/** Bytes of workgroup memory that a row of so many columns needs, with scales of `blocks` blocks. */
export const rowMemory = (columns: number, blocks = 0) =>
  columns + 9 * 1024 + 4 * TEAMS * blocks * Math.max(...Object.values(OUTPUTS));

/** The bits of `normQuantize`, `ternary` and what `finish` says, one after the other. */
export function ternaryRow({ x, weight, eps, columns, quantized, projections }: RowOperands, finish: Finish): Call {
  const { addTo, rows } = projections[0];
  const matrices = addTo === undefined ? MATRICES[projections.length - 1] : "add";
  const outputs = OUTPUTS[finish.kind];
  // gate and up of an element are made together
  const made = finish.kind === "gate" ? [2 * rows] : projections.map((projection) => projection.rows);
  const blocks = blocksOf(projections[0], columns);
  const more = finishOf(finish);
  const input = inputOf(x);
  return {
    kernel: {
      name: `norm ternary (${[...input.name, matrices, ...more.name, columns, ...(blocks > 0 ? ["blocks"] : [])].join(", ")})`,
      files: [
        ...NORM_FILES,
        ...input.files,
        "ternary-row/ternary-row",
        "shared/codes",
        "shared/block-scales",
        "shared/matrices",
        `shared/keep-${matrices}`,
        ...more.files,
        `ternary-row/${addTo === undefined ? finish.kind : "add"}`,
      ],
      entryPoint: "ternaryRow",
      constants: {
        TYPE: DENSE_TYPES[weight.type],
        COLUMNS: columns,
        OUTPUTS: outputs,
        BLOCKS: blocks,
        AHEAD: Math.min(Math.floor(MOST_AHEAD / outputs), Math.ceil(columns / 64 / 16)),
        ...input.constants,
        ...more.constants,
      },
      params: [...MATRIX_PARAMS, ...["share", "eps"].map(f32), ...["half", "positionAt", "chunks"].map(u32)],
      bindings: [
        ...["weight", input.first].map(read),
        ...["normed", "values", "scales", "sums"].map(written),
        ...input.bindings,
        ...matrixBindings(projections),
        ...more.bindings,
      ],
    },
    params: {
      share: 1 / columns,
      eps,
      chunks: input.chunks,
      ...more.params,
      ...matrixParams(projections),
    },
    bindings: {
      weight: weight.window,
      ...input.windows,
      ...quantized,
      ...matrixWindows(projections),
      ...more.windows,
    },
    bytes: bytesOf(projections),
    grid: [made.reduce((sum, rows) => sum + Math.ceil(rows / (TEAMS * outputs)), 0), 1, 1],
  };
}

function inputOf(x: RowOperands["x"]): InputParts {
  if (!("partials" in x)) {
    return { name: [], files: ["ternary-row/x"], constants: {}, first: "x", bindings: [], windows: { x }, chunks: 0 };
  }
  const { partials, positions, context, chunks, headDim } = x;
  return {
    name: ["chunks"],
    files: ["shared/chunk", "shared/partials", "ternary-row/partials"],
    constants: { HEAD_COLUMNS: headDim / 4, CHUNK },
    first: "partials",
    bindings: [read("positions"), written("context")],
    windows: { partials, positions, context },
    chunks,
  };
}

interface InputParts extends Fragment {
  readonly name: readonly string[];
  /** name of the binding before those of the quantised row */
  readonly first: string;
  readonly chunks: number;
}

interface FinishParts extends Fragment {
  readonly name: readonly string[];
  readonly params: Readonly<Record<"half" | "positionAt", number>>;
}

function finishOf(finish: Finish): FinishParts {
  const params = { half: 0, positionAt: 0 };
  const none = { name: [], files: [], constants: {}, params, bindings: [], windows: {} };
  switch (finish.kind) {
    case "store":
      return none;
    case "gate": {
      const { activation } = finish;
      return {
        ...none,
        name: [activation],
        files: ["shared/activation"],
        constants: { SILU: activation === "silu" ? 1 : 0 },
      };
    }
    case "rope": {
      const { cache, places, positionAt } = finish;
      const { tables, keys, values: cached } = cache;
      return {
        ...none,
        name: ["rope"],
        files: ROTATE_FILES,
        constants: rotateConstants(cache),
        params: { half: cache.headDim / 2, positionAt },
        bindings: [...["tables", "places"].map(read), ...["keys", "cached"].map(written)],
        windows: { tables, places, keys, cached },
      };
    }
  }
}
