/** RMSNorm: with int8 quantisation of the rows, with the gate before it, and of the wanted rows alone. */
import type { Activation } from "../../backend.js";
import type { Binding, Call, Kernel, Window } from "../device/kernel.js";
import { gateInput } from "./ffn.js";
import type { Dense, QuantizedWindows } from "./operands.js";

export const NORM_TYPES = { F32: 0, F16: 1, BF16: 2 } as const;

const PARAMS: Kernel["params"] = [
  { name: "quads", type: "u32" },
  { name: "share", type: "f32" },
  { name: "eps", type: "f32" },
];

interface Norm {
  readonly weight: Dense;
  readonly eps: number;
  /** a multiple of 16 */
  readonly width: number;
}

interface Quantisation extends Norm {
  readonly rows: number;
  readonly out: QuantizedWindows;
}

/** What is normalised: the files that define `taken`, and their bindings. */
interface Input {
  readonly name: string;
  readonly files: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  readonly bindings: readonly Binding[];
  readonly windows: Readonly<Record<string, Window>>;
}

/** out = the rows of x, normalised and rounded to int8. */
export function normQuantize(a: Quantisation & { x: Window }): Call {
  return quantise(a, {
    name: "norm quantize",
    files: ["norm-x"],
    constants: {},
    bindings: [{ name: "x", access: "read" }],
    windows: { x: a.x },
  });
}

/** The same of activation(gate) * up, which goes to `gated` as well where that is given; `gated` may be `gate`. */
export function gateNormQuantize(
  a: Quantisation & { gate: Window; up: Window; activation: Activation; gated?: Window | undefined },
): Call {
  const { form, ...input } = gateInput(a);
  return quantise(a, { name: `gate norm quantize (${form})`, ...input });
}

/** Row j of out = row outputs[j] of x, normalised; `count` rows. */
export function normOutputs(a: Norm & { x: Window; outputs: Window; count: number; out: Window }): Call {
  return {
    kernel: {
      name: `norm outputs (${a.weight.type})`,
      files: ["reduce", "norm-row", "halves", "norm-weight", "norm-outputs"],
      entryPoint: "normOutputs",
      constants: { TYPE: NORM_TYPES[a.weight.type] },
      params: PARAMS,
      bindings: [
        { name: "weight", access: "read" },
        { name: "x", access: "read" },
        { name: "outputs", access: "read" },
        { name: "out", access: "read_write" },
      ],
    },
    params: { quads: a.width / 4, share: 1 / a.width, eps: a.eps },
    bindings: { weight: a.weight.window, x: a.x, outputs: a.outputs, out: a.out },
    grid: [a.count, 1, 1],
  };
}

function quantise({ weight, eps, width, rows, out }: Quantisation, input: Input): Call {
  return {
    kernel: {
      name: `${input.name} (${weight.type})`,
      files: ["reduce", "norm-row", "halves", "norm-weight", "norm-quantize", ...input.files],
      entryPoint: "normQuantize",
      constants: { TYPE: NORM_TYPES[weight.type], ...input.constants },
      params: PARAMS,
      bindings: [
        { name: "weight", access: "read" },
        { name: "normed", access: "read_write" },
        { name: "values", access: "read_write" },
        { name: "scales", access: "read_write" },
        { name: "sums", access: "read_write" },
        ...input.bindings,
      ],
    },
    params: { quads: width / 4, share: 1 / width, eps },
    bindings: { weight: weight.window, ...out, ...input.windows },
    grid: [rows, 1, 1],
  };
}
