/** What WebGPU sees here, and what is missing where it sees no hardware. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { AdapterInfo } from "../backend/gpu/adapter.js";
import { type Finding, vulkanFindings } from "./vulkan.js";

export interface GpuFindings {
  readonly adapters: readonly AdapterInfo[];
  /** empty where an adapter is hardware */
  readonly missing: readonly Finding[];
}

const LISTING = fileURLToPath(new URL("./list-adapters.js", import.meta.url));
const PATIENCE = 120_000; // milliseconds; a driver may compile before it answers

export async function examineGpu(): Promise<GpuFindings> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [LISTING], { timeout: PATIENCE });
    const adapters = JSON.parse(stdout) as AdapterInfo[];
    const isHardware = adapters.some(({ kind }) => kind !== "software");
    return { adapters, missing: isHardware || process.platform !== "linux" ? [] : vulkanFindings() };
  } catch (error) {
    const said = [...String((error as { stderr?: string }).stderr ?? error).matchAll(/^.*\S.*$/gm)].map(
      ([line]) => line,
    );
    const reason = said.find((line) => /Error/.test(line)) ?? said.at(-1) ?? "it ended without a word";
    const finding = { problem: `adapters could not be listed: ${reason.trim()}`, fix: "npm install webgpu" };
    return { adapters: [], missing: [finding, ...(process.platform === "linux" ? vulkanFindings() : [])] };
  }
}
