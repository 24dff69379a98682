/** The gate of the feed-forward block, alone or as the input of a norm. */
import type { Activation } from "../../backend.js";
import type { Binding, Call, Window } from "../device/kernel.js";
import { type Fragment, read, u32, written } from "./operands.js";

/** The windows of a gate; `gated` receives the product and may be `gate`. */
export interface GateWindows {
  readonly gate: Window;
  readonly up: Window;
  readonly gated?: Window | undefined;
  readonly activation: Activation;
}

/** The part of a kernel that takes the product; its bindings are the kernel's last. */
export function gateInput({ gate, up, gated, activation }: GateWindows): Fragment & { readonly form: string } {
  const constants = { SILU: activation === "silu" ? 1 : 0 };
  const inputs = (form: string, binding: (name: string) => Binding, more: Readonly<Record<string, Window>> = {}) => ({
    form: `${activation}, ${form}`,
    files: ["shared/activation", `shared/gate-${form}`],
    constants,
    bindings: [read("up"), binding("gate"), ...Object.keys(more).map(written)],
    windows: { up, gate, ...more },
  });
  if (gated === undefined) return inputs("read", read);
  return sameWindow(gate, gated) ? inputs("in-place", written) : inputs("write", read, { gated });
}

/** out[i] = activation(gate[i]) * up[i] for `count` elements, a multiple of 4; `out` may be `gate`. */
export function gate(a: { gate: Window; up: Window; out: Window; activation: Activation; count: number }): Call {
  const { form, files, constants, bindings, windows } = gateInput({ ...a, gated: a.out });
  return {
    kernel: {
      name: `gate (${form})`,
      files: ["gate/gate", ...files],
      entryPoint: "gate",
      constants,
      params: [u32("quads")],
      bindings,
    },
    params: { quads: a.count / 4 },
    bindings: windows,
    grid: [Math.ceil(a.count / 4 / 256), 1, 1],
  };
}

function sameWindow(a: Window, b: Window): boolean {
  return a.buffer === b.buffer && a.offset === b.offset;
}
