/** Adapters: which there are, and which one is taken. */
import { TernionError } from "../../../errors.js";
import type { AdapterInfo, AdapterKind } from "./adapter-info.js";
import type { GpuHost } from "./host.js";

export interface AdapterChoice {
  /** part of the adapter's name, in any case; default: the best hardware adapter, else the software one */
  readonly adapter?: string | undefined;
  /** refuse software adapters; default false */
  readonly hardwareOnly?: boolean | undefined;
}

export interface OpenAdapter {
  readonly adapter: GPUAdapter;
  readonly software: boolean;
}

export const describe = ({ description, device, vendor }: GPUAdapterInfo): string => device || description || vendor;

function kindOf(adapter: GPUAdapter): AdapterKind {
  const { info } = adapter;
  const software = /llvmpipe|swiftshader|softpipe|basic render/i.test(`${info.device} ${info.description}`);
  if (software || (info as Partial<GPUAdapterInfo>).isFallbackAdapter === true) return "software";
  // Dawn names the kind here
  const type = (info as unknown as { adapterType?: string }).adapterType ?? "";
  if (/discrete/i.test(type)) return "discrete";
  return /integrated/i.test(type) ? "integrated" : "unknown";
}

/** Dawn's null backend computes nothing and reports success: no adapter of it is ever taken. */
export const computesNothing = ({ info }: GPUAdapter): boolean =>
  /null/i.test(`${info.vendor} ${info.device} ${info.architecture}`);

/** Each adapter that Dawn finds, once. */
async function findAdapters(host: GpuHost, name?: string): Promise<GPUAdapter[]> {
  const gpu = await host.create(name);
  const found: GPUAdapter[] = [];
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
    { forceFallbackAdapter: true },
  ];
  for (const request of requests) {
    // Dawn throws where nothing has the name that its flag asks for
    const adapter = await gpu.requestAdapter(request).catch(() => null);
    if (adapter === null || computesNothing(adapter)) continue;
    const known = found.some(({ info }) => describe(info) === describe(adapter.info));
    if (!known) found.push(adapter);
  }
  return found;
}

export async function listAdapters(host: GpuHost): Promise<AdapterInfo[]> {
  return (await findAdapters(host)).map((adapter) => {
    const { info, features, limits } = adapter;
    const { subgroupMinSize = 0, subgroupMaxSize = 0 } = info as Partial<GPUAdapterInfo>;
    const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(limits)));
    const values = names.map((name) => [name, (limits as unknown as Record<string, unknown>)[name]]);
    return {
      name: describe(info),
      vendor: info.vendor,
      architecture: info.architecture,
      driver: info.description,
      kind: kindOf(adapter),
      subgroupSizes: [subgroupMinSize, subgroupMaxSize] as const,
      features: [...features].sort(),
      limits: Object.fromEntries(values.filter(([, value]) => typeof value === "number")) as Record<string, number>,
    };
  });
}

const RANK: readonly AdapterKind[] = ["discrete", "unknown", "integrated", "software"];

/** The adapter to use; rejects with BACKEND_UNAVAILABLE and the reason when there is none. */
export async function openAdapter(
  { adapter: name, hardwareOnly = false }: AdapterChoice,
  host: GpuHost,
): Promise<OpenAdapter> {
  const all = await findAdapters(host);
  // Dawn's own choice by name reaches adapters that no power preference does
  const named = name === undefined ? [] : await findAdapters(host, name);
  const matching =
    name === undefined
      ? all
      : [...named, ...all].filter(({ info }) =>
          `${describe(info)} ${info.vendor} ${info.description}`.toLowerCase().includes(name.toLowerCase()),
        );
  const kinds = matching.map((adapter) => ({ adapter, kind: kindOf(adapter) }));
  const allowed = kinds.filter(({ kind }) => !hardwareOnly || kind !== "software");
  const best = allowed.sort((a, b) => RANK.indexOf(a.kind) - RANK.indexOf(b.kind))[0];
  if (best !== undefined) return { adapter: best.adapter, software: best.kind === "software" };
  const seen = all.map(({ info }) => describe(info)).join(", ") || "none";
  if (name !== undefined) throw unavailable(`expected an adapter with "${name}" in its name, found ${seen}`);
  if (all.length > 0) throw unavailable(`expected a hardware adapter, found ${seen}, which is software`);
  throw unavailable("no adapter was found: install the driver of the card and, on Linux, libvulkan1");
}

function unavailable(reason: string): TernionError {
  return new TernionError("BACKEND_UNAVAILABLE", `GPU: ${reason}; or use the CPU backend (--backend cpu).`);
}
