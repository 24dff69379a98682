/** The program that lists adapters, as JSON on stdout: a process of its own, because a driver may end or litter it. */
import { TernionError } from "../../errors.js";
import { installCommand } from "../../platform/package.js";
import { webgpu } from "../../platform/webgpu.js";
import type { Listing } from "./gpu.js";

const { listAdapters } = await import("../../backend/gpu/device/adapter.js");

const listing: Promise<Listing> = listAdapters(webgpu).catch((error: unknown) => {
  if (!(error instanceof TernionError)) throw error;
  return { problem: error.message, fix: installCommand("webgpu") };
});
process.stdout.write(JSON.stringify(await listing), () => process.exit(0));
