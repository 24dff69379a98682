/** Forms of kernels that not every adapter can run, chosen by what it offers. */
import { offersSubgroupMatrices } from "./subgroup-matrices.js";

/** "subgroups": lanes exchange values; "f16": 16-bit floats; "subgroup matrices": see subgroup-matrices.ts. */
export const FEATURES = ["subgroups", "f16", "subgroup matrices"] as const;
export type Feature = (typeof FEATURES)[number];

const WEBGPU_FEATURES: Readonly<Record<Feature, readonly string[]>> = {
  subgroups: ["subgroups"],
  f16: ["shader-f16"],
  "subgroup matrices": ["subgroups", "chromium-experimental-subgroup-matrix"],
};

/** Files of `wgsl/` that another one replaces where a feature is there, and what WGSL calls the feature. */
const FORMS: Readonly<Record<string, { feature: Feature; file: string; enable: string }>> = {
  "shared/reduce": { feature: "subgroups", file: "shared/reduce-subgroups", enable: "subgroups" },
  "shared/halves": { feature: "f16", file: "shared/halves-f16", enable: "f16" },
};

/** Lanes of every subgroup; undefined where the adapter does not say, or where kernels may differ in it. */
export function subgroupSize({ info }: GPUAdapter): number | undefined {
  // an adapter without subgroups has no such fields
  const { subgroupMinSize: least, subgroupMaxSize: most } = info as Partial<GPUAdapterInfo>;
  return least !== undefined && least === most && least >= 4 && least <= 128 ? least : undefined;
}

/** What an adapter offers of `Feature`s, without those that are refused. */
export function offered(adapter: GPUAdapter, refused: readonly Feature[] = []): Feature[] {
  const fits: Readonly<Record<Feature, boolean>> = {
    subgroups: subgroupSize(adapter) !== undefined,
    f16: true,
    "subgroup matrices": offersSubgroupMatrices(adapter),
  };
  return FEATURES.filter((feature) => {
    const there = WEBGPU_FEATURES[feature].every((name) => adapter.features.has(name));
    return there && fits[feature] && !refused.includes(feature);
  });
}

/** Names of WebGPU's features that make up `features`. */
export const webgpuFeatures = (features: readonly Feature[]) =>
  [...new Set(features.flatMap((feature) => WEBGPU_FEATURES[feature]))] as GPUFeatureName[];

/** The files that a device with `features` takes for `files`, and what their text must enable. */
export function formsOf(
  files: readonly string[],
  features: ReadonlySet<Feature>,
): { files: string[]; enables: string[] } {
  const forms = files.map((file) => {
    const form = FORMS[file];
    return form !== undefined && features.has(form.feature) ? form : { file };
  });
  const enables = forms.flatMap((form) => ("enable" in form ? [form.enable] : []));
  return { files: forms.map(({ file }) => file), enables };
}
