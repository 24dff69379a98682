/** RMSNorm with int8 quantisation of the rows, of a tensor or of the gate's product. */
import type { Activation } from "../../backend.js";
import type { Call, Window } from "../device/kernel.js";
import { gateInput } from "./gate.js";
import {
  DENSE_TYPES,
  type Fragment,
  NORM_FILES,
  NORM_PARAMS,
  type Norm,
  type QuantizedWindows,
  read,
  written,
} from "./operands.js";

interface Quantisation extends Norm {
  readonly rows: number;
  readonly out: QuantizedWindows;
}

/** What is normalised: the files define `taken`. */
interface Input extends Fragment {
  readonly name: string;
}

/** out = the rows of x, normalised and rounded to int8. */
export function normQuantize(a: Quantisation & { x: Window }): Call {
  return quantise(a, {
    name: "norm quantize",
    files: ["norm-quantize/x"],
    constants: {},
    bindings: [read("x")],
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

function quantise({ weight, eps, width, rows, out }: Quantisation, input: Input): Call {
  return {
    kernel: {
      name: `${input.name} (${weight.type})`,
      files: [...NORM_FILES, "norm-quantize/norm-quantize", ...input.files],
      entryPoint: "normQuantize",
      constants: { TYPE: DENSE_TYPES[weight.type], ...input.constants },
      params: NORM_PARAMS,
      bindings: [read("weight"), ...["normed", "values", "scales", "sums"].map(written), ...input.bindings],
    },
    params: { quads: width / 4, share: 1 / width, eps },
    bindings: { weight: weight.window, ...out, ...input.windows },
    grid: [rows, 1, 1],
  };
}
