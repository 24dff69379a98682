/** Which backend computes a model, and putting the model on it. */
import { existsSync } from "node:fs";
import type { Backend, WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import type { ModelConfig } from "../model/config.js";
import { createActivations } from "../model/forward.js";
import { loadWeights } from "../model/weights.js";
import { packageFile } from "../platform/package.js";
import type { Placed } from "../run/failover.js";
import { MOST_CANDIDATES } from "../sampling/sampler.js";
import type { LoadClock } from "./load-report.js";
import type { BackendName, EngineOptions, Limits } from "./options.js";

export interface ModelParts {
  readonly config: ModelConfig;
  readonly sources: readonly WeightSource[];
  readonly limits: Limits;
}

export interface PlaceOptions {
  readonly clock?: LoadClock;
  readonly signal?: AbortSignal | undefined;
  onProgress?(loadedBytes: number, totalBytes: number): void;
}

export type PlainBackend = Exclude<BackendName, "auto">;

/** Backends to try, in this order. */
export function choicesOf({ backend = "auto", adapter }: EngineOptions): readonly PlainBackend[] {
  if (backend !== "auto") return [backend];
  return adapter !== undefined || mayHaveGpu() ? ["gpu", "cpu"] : ["cpu"];
}

/**
 * Whether looking for a GPU can find one. The look costs a tenth of a second, and Vulkan's own lines on stderr; on Linux no
 * GPU works without one of these files.
 */
function mayHaveGpu(): boolean {
  return process.platform !== "linux" || ["/dev/dri", "/dev/nvidiactl", "/dev/dxg"].some((path) => existsSync(path));
}

/** Another backend may do where this one is not there, or has not the memory. */
export const mayGoOn = (error: unknown): boolean =>
  error instanceof TernionError && ["BACKEND_UNAVAILABLE", "OUT_OF_MEMORY"].includes(error.code);

export async function createBackend(name: PlainBackend, options: EngineOptions, maxRows: number): Promise<Backend> {
  const { threads, profile, adapter, signal, tuning: { kernel, revectorize } = {} } = options;
  switch (name) {
    case "cpu": {
      packageFile("dist/src/backend/cpu/thread/worker.js"); // in a bundle piscina's code fails first, with less clear words
      const { CpuBackend } = await import("../backend/cpu/cpu.js");
      return CpuBackend.create({ threads, maxRows, kernel, revectorize, profile, signal });
    }
    case "reference": {
      const { ReferenceBackend } = await import("../backend/reference.js");
      return new ReferenceBackend();
    }
    case "gpu": {
      const { GpuBackend } = await import("../backend/gpu/gpu.js");
      // "auto" alone takes no software adapter for a GPU: the CPU backend is faster
      const hardwareOnly = (options.backend ?? "auto") === "auto" && adapter === undefined;
      return GpuBackend.create({ adapter, hardwareOnly, maxRows, profile });
    }
  }
}

/** Loads the weights and makes cache, activations and head. What fails leaves the backend to the caller to close. */
export async function placeModel(
  backend: Backend,
  { config, sources, limits }: ModelParts,
  { clock, signal, onProgress }: PlaceOptions,
): Promise<Placed> {
  const bytes = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const loading = loadWeights(sources, config, backend, { signal, ...(onProgress && { onProgress }) });
  const weights = await (clock?.measureAsync("weights", bytes, loading) ?? loading);
  signal?.throwIfAborted();
  clock?.mark();
  const { layers, kvHeads, headDim, ropeBase, ropePairs, ropeFactors, ropeMagnitude } = config;
  const rotation = { ropeBase, ropePairs, ropeFactors, ropeMagnitude };
  const before = backend.memoryBytes;
  const { maxSessions: slots, contextLength: positions, kv: type, maxRows, head: headKind } = limits;
  const shape = { layers, slots, positions, kvHeads, headDim, type, ...rotation };
  const cache = backend.cache({ ...shape, blocks: Math.ceil(limits.cachePositions / backend.blockPositions) });
  const activations = createActivations(backend, config, maxRows, maxRows);
  clock?.done("cache", backend.memoryBytes - before);
  const scanned = backend.memoryBytes;
  const head = await backend.head(weights.head, maxRows, MOST_CANDIDATES, headKind);
  clock?.done("head", backend.memoryBytes - scanned);
  return { backend, model: { config, weights, cache, head, activations } };
}
