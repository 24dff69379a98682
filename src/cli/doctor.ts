/** `ternion doctor`: what this machine offers, what is missing and how to get it, and a self-test of the backends. */
import type { Command } from "commander";
import { type Diagnosis, diagnose, type SelfTest } from "../index.js";
import { debugOption, type EngineFlags, pickEngineOptions } from "./options.js";
import { print } from "./streams.js";

type Adapter = Diagnosis["gpu"]["adapters"][number];

interface DoctorOptions extends Pick<EngineFlags, "threads" | "kernel" | "revectorize"> {
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  ternion doctor
  ternion doctor --json | jq .selfTests

The self-test is of the model that comes with ternion. Exit code 1 says that a backend failed it.`;

export function registerDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .description("say what this machine offers, what is missing, and whether the answers are right")
    .option("--json", "print one JSON object")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(doctor);
  pickEngineOptions(command, ["threads", "kernel", "revectorize"]);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const { threads, kernel, revectorize } = options;
  const diagnosis = await diagnose({ threads, tuning: { kernel, revectorize } });
  await print(options.json ? `${JSON.stringify(diagnosis, null, 2)}\n` : asText(diagnosis));
  const wrong = diagnosis.selfTests.filter(({ backend, outcome }) => {
    return outcome === "failed" || (outcome === "unavailable" && backend === "cpu");
  });
  if (wrong.length === 0) return;
  throw new Error(`self-test: ${wrong.map(({ backend, problem }) => `${backend}: ${problem}`).join("; ")}`);
}

const GIB = 2 ** 30;

function asText({ machine, cpu, gpu, selfTests }: Diagnosis): string {
  const memory = `${(machine.memoryBytes / GIB).toFixed(1)} GiB, ${(machine.freeMemoryBytes / GIB).toFixed(1)} GiB free`;
  const features = machine.cpuFeatures.length > 0 ? ` (${machine.cpuFeatures.join(" ")})` : "";
  return [
    section("machine", [
      ["processor", `${machine.cpu}${features}`],
      ["cores", `${machine.cores} usable of ${machine.processors}`],
      ["memory", memory],
      ["system", machine.system],
      ["versions", `ternion ${machine.ternion}, Node.js ${machine.node}, V8 ${machine.v8}`],
    ]),
    section("CPU backend", [
      ["SIMD", `128 bit: ${yes(cpu.simd)}, relaxed: ${yes(cpu.relaxedSimd)}`],
      ["shared memory", yes(cpu.sharedMemory)],
      ["kernel", cpu.kernel ?? "none"],
      ["because", cpu.reason],
    ]),
    section("GPU backend", [
      ...gpu.adapters.flatMap(adapterLines),
      ...(gpu.adapters.length === 0 ? [["adapters", "none"]] : []),
      ...gpu.missing.flatMap(({ problem, fix }) => [
        ["missing", problem],
        ["fix", fix],
      ]),
    ]),
    section(
      "self-test",
      selfTests.map((test) => [test.backend, sentenceOf(test)]),
    ),
  ].join("\n");
}

/** Limits that decide which models fit. */
const LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize"] as const;

function adapterLines({ name, kind, driver, subgroupSizes, features, limits }: Adapter): string[][] {
  return [
    ["adapter", `${name} (${kind}${driver === "" ? "" : `; ${driver}`})`],
    ["limits", LIMITS.map((limit) => `${limit} ${limits[limit]}`).join(", ")],
    ["subgroups", features.includes("subgroups") ? `of ${subgroupSizes.join(" to ")}` : "none"],
    ["features", features.join(" ")],
  ];
}

function sentenceOf({ outcome, description, answer, problem, ms }: SelfTest): string {
  if (outcome !== "passed") return `${outcome}: ${problem}`;
  return `passed in ${(ms / 1000).toFixed(1)} s (${description}): ${JSON.stringify(answer)}`;
}

const yes = (value: boolean) => (value ? "yes" : "no");

function section(title: string, lines: readonly (readonly string[])[]): string {
  const width = Math.max(0, ...lines.map(([name]) => name.length));
  const rows = lines.map(([name, text]) => `  ${name.padEnd(width)}  ${text}\n`);
  return `${title}\n${rows.join("")}`;
}
