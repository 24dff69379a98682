/** Every backend variant that the conformance and golden tests run over; what cannot run here is a skipped test there. */
import type { Backend } from "../src/backend/backend.js";
import { chooseKernels } from "../src/backend/cpu/choice/choose.js";
import { usefulFlags } from "../src/backend/cpu/choice/flags.js";
import type { DotForm } from "../src/backend/cpu/choice/forms.js";
import { CpuBackend } from "../src/backend/cpu/cpu.js";
import { GpuBackend } from "../src/backend/gpu/gpu.js";
import { ReferenceBackend } from "../src/backend/reference.js";
import { NO_ADAPTER } from "./backend/gpu/require.js";

export interface Variant {
  readonly name: string;
  /** differs from others by its ternary kernel only */
  readonly ternaryOnly?: boolean;
  /** why it is not run here; false where it is */
  readonly skip: string | false;
  create(maxRows: number): Promise<Backend>;
}

const cpu = (threads: number, kernel?: DotForm): Variant => ({
  name: [`cpu, ${threads} threads`, kernel].filter(Boolean).join(", "),
  skip: false,
  create: (maxRows) => CpuBackend.create({ threads, maxRows, kernel }),
});

/** Why V8 pairs no operations here. */
async function notRevectorized(): Promise<string | false> {
  if (usefulFlags("baseline", true).length === 0)
    return `V8 ${process.versions.v8} of this Node.js does not revectorize`;
  const { refused = false } = await chooseKernels({ revectorize: true });
  return refused;
}

export const REFERENCE: Variant = { name: "reference", skip: false, create: async () => new ReferenceBackend() };

export const CPU_VARIANTS: readonly Variant[] = [
  cpu(1),
  cpu(3),
  { ...cpu(2, "ternaryDot32"), ternaryOnly: true },
  cpu(2, "ternaryDotBaseline"),
  {
    name: "cpu, 2 threads, revectorized",
    skip: await notRevectorized(),
    create: (maxRows) => CpuBackend.create({ threads: 2, maxRows, revectorize: true }),
  },
];

/** Both forms of what a feature decides; on software rows are not joined by themselves. */
export const GPU_VARIANTS: readonly Variant[] = [
  {
    name: "gpu, no features",
    skip: NO_ADAPTER,
    create: (maxRows) =>
      GpuBackend.create({ maxRows, joinRows: false, without: ["subgroups", "f16", "subgroup matrices"] }),
  },
  { name: "gpu, rows joined", skip: NO_ADAPTER, create: (maxRows) => GpuBackend.create({ maxRows, joinRows: true }) },
];

export const VARIANTS: readonly Variant[] = [REFERENCE, ...CPU_VARIANTS, ...GPU_VARIANTS];
