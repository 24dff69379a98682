/**
 * What this machine offers the engine, what is missing, and whether each backend gives right answers here: measured on the
 * model in the box against the reference backend.
 */
import * as check from "../../check.js";
import { TUNING_CHECKS } from "../../engine/options.js";
import { describeMachine, type Machine } from "../../platform/machine.js";
import { boxModel } from "../../platform/package.js";
import { type CpuFindings, type CpuQuestion, examineCpu } from "./cpu.js";
import { examineGpu, type GpuFindings } from "./gpu.js";
import { referenceAnswer, type SelfTest, selfTest } from "./self-test.js";

/** Of `diagnose`. */
export interface DoctorOptions {
  /** path of a model that knows the capital of France; default: the one in the box */
  readonly model?: string | undefined;
  /** worker threads of the CPU backend; default: as many as the system can run in parallel */
  readonly threads?: number | undefined;
  /** of the CPU backend, as in EngineOptions */
  readonly tuning?: CpuQuestion | undefined;
}

const CHECKS: check.OptionChecks<DoctorOptions> = {
  model: check.filled,
  threads: check.threads,
  tuning: check.group<CpuQuestion>({ kernel: TUNING_CHECKS.kernel, revectorize: TUNING_CHECKS.revectorize }),
};

/** What `diagnose` found: which backends can run here, what is missing, and whether their answers are right. */
export interface Diagnosis {
  readonly machine: Machine;
  readonly cpu: CpuFindings;
  readonly gpu: GpuFindings;
  /** of the CPU backend, and of the GPU backend where an adapter is there */
  readonly selfTests: readonly SelfTest[];
}

/** Takes about a second. What is wrong with the machine is in the result; rejects only where `model` cannot be read. */
export async function diagnose(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { model = boxModel(), threads, tuning = {} } = check.options(options, CHECKS);
  const cpu = await examineCpu(tuning);
  const expected = await referenceAnswer(model);
  const selfTests = [await selfTest(model, { backend: "cpu", threads, tuning }, expected)];
  const gpu = await examineGpu();
  if (gpu.adapters.length > 0) selfTests.push(await selfTest(model, { backend: "gpu" }, expected));
  return { machine: describeMachine(), cpu, gpu, selfTests };
}
