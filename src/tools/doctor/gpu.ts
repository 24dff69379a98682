/** What WebGPU sees here, and what is missing where it sees no hardware. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { AdapterInfo } from "../../backend/gpu/device/adapter-info.js";
import { installCommand, packageFile } from "../../platform/package.js";
import { type Finding, vulkanFindings } from "./vulkan.js";

/** What the GPU backend finds here. */
export interface GpuFindings {
  readonly adapters: readonly AdapterInfo[];
  /** empty where an adapter is hardware */
  readonly missing: readonly Finding[];
}

/** What list-adapters.js prints: adapters, or why the package that knows them cannot be loaded. */
export type Listing = readonly AdapterInfo[] | Finding;

const PATIENCE = 120_000; // milliseconds; a driver may compile before it answers

export async function examineGpu(): Promise<GpuFindings> {
  try {
    const program = fileURLToPath(packageFile("dist/src/tools/doctor/list-adapters.js"));
    const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: PATIENCE });
    const listing = JSON.parse(stdout) as Listing;
    if ("problem" in listing) return { adapters: [], missing: [listing, ...driverFindings()] };
    const isHardware = listing.some(({ kind }) => kind !== "software");
    return { adapters: listing, missing: isHardware ? [] : driverFindings() };
  } catch (error) {
    const said = [...String((error as { stderr?: string }).stderr ?? error).matchAll(/^.*\S.*$/gm)].map(
      ([line]) => line,
    );
    const reason = said.find((line) => /Error/.test(line)) ?? said.at(-1) ?? "it ended without a word";
    const finding = { problem: `adapters could not be listed: ${reason.trim()}`, fix: installCommand("webgpu") };
    return { adapters: [], missing: [finding, ...driverFindings()] };
  }
}

const driverFindings = () => (process.platform === "linux" ? vulkanFindings() : []);
