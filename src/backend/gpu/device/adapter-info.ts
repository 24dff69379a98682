/** An adapter in plain data, part of the public types: they name nothing of WebGPU, whose types users need not have. */
export type AdapterKind = "discrete" | "integrated" | "software" | "unknown";

/** An adapter as people want to read it. */
export interface AdapterInfo {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** the driver's own words */
  readonly driver: string;
  readonly kind: AdapterKind;
  readonly subgroupSizes: readonly [min: number, max: number];
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}
