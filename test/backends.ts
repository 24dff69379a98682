/** Every backend variant that the conformance and golden tests run over. */
import type { Backend } from "../src/backend/backend.js";
import type { DotForm } from "../src/backend/cpu/choice/forms.js";
import { CpuBackend } from "../src/backend/cpu/cpu.js";
import { GpuBackend } from "../src/backend/gpu/gpu.js";
import { ReferenceBackend } from "../src/backend/reference.js";
import { NO_ADAPTER } from "./backend/gpu/require.js";

export interface Variant {
  readonly name: string;
  create(maxRows: number): Promise<Backend>;
}

const cpu = (threads: number, kernel?: DotForm, revectorize?: true): Variant => ({
  name: [`cpu, ${threads} threads`, kernel, revectorize && "revectorized where V8 can"].filter(Boolean).join(", "),
  create: (maxRows) => CpuBackend.create({ threads, maxRows, kernel, revectorize }),
});

export const REFERENCE: Variant = { name: "reference", create: async () => new ReferenceBackend() };

export const CPU_VARIANTS: readonly Variant[] = [
  cpu(1),
  cpu(2),
  cpu(3),
  cpu(2, "ternaryDot32"),
  cpu(2, "ternaryDotBaseline"),
  cpu(2, undefined, true),
];

/** None without an adapter. Both forms of what a feature decides; on software rows are not joined of themselves. */
export const GPU_VARIANTS: readonly Variant[] = NO_ADAPTER
  ? []
  : [
      {
        name: "gpu, no features",
        create: (maxRows) =>
          GpuBackend.create({ maxRows, joinRows: false, without: ["subgroups", "f16", "subgroup matrices"] }),
      },
      { name: "gpu, rows joined", create: (maxRows) => GpuBackend.create({ maxRows, joinRows: true }) },
    ];

export const VARIANTS: readonly Variant[] = [REFERENCE, ...CPU_VARIANTS, ...GPU_VARIANTS];
