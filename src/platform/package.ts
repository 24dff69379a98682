/**
 * The files that belong to this package and that no import names: workers, kernels, shaders, the model in the box. They are
 * found by the place of this file, dist/src/platform/package.js; code that a bundler has moved elsewhere is refused with what to do.
 */
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { TernionError } from "../errors.js";
import { systemReason } from "./files.js";

const OWN_PLACE = "/dist/src/platform/package.js";
/** in a bundle of webpack, which leaves this file's old place in import.meta.url */
declare const __webpack_require__: unknown;

/** The address of a file by its path from the package's root. Throws PACKAGE_MISSING where there is none. */
export function packageFile(path: string): URL {
  const own = String(import.meta.url); // undefined where a bundler made CommonJS of this
  const bundled = !own.endsWith(OWN_PLACE) || typeof __webpack_require__ !== "undefined";
  const file = bundled ? undefined : new URL(`../../../${path}`, own);
  if (file !== undefined && existsSync(file)) return file;
  throw new TernionError(
    "PACKAGE_MISSING",
    `The package ternion: expected its file ${path}${file === undefined ? "" : ` at ${fileURLToPath(file)}`}, got none. ` +
      "If a bundler joined ternion with other code, mark ternion as external there and install it beside the bundle " +
      "(docs/bundlers.md); if not, install ternion again.",
  );
}

/** The bytes of a file of the package. */
export async function packageBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const file = packageFile(path);
  try {
    return await readFile(file);
  } catch (cause) {
    const message = `The package ternion: its file ${path} cannot be read: ${systemReason(cause)}. `;
    const advice = "Allow more open files (ulimit -n) if that is the reason; if not, install ternion again.";
    throw new TernionError("PACKAGE_MISSING", message + advice, { cause });
  }
}

/** The address of what `import "name"` loads, of a package that this one depends on. */
export function dependencyFile(name: string): URL {
  try {
    return new URL(import.meta.resolve(name));
  } catch (cause) {
    const message = `The package ternion: expected the package ${name} beside it, got none. Install ternion again.`;
    throw new TernionError("PACKAGE_MISSING", message, { cause });
  }
}

/** The path of the model in the box: 10.8 M parameters, MIT licence, see models/README.md. Throws PACKAGE_MISSING. */
export const boxModel = (): string => fileURLToPath(packageFile("models/ternion-tiny.gguf"));

export const packageVersion = (): string => manifest().version;

/** "npm install webgpu@0.6.2", with the version that this package was tested with. */
export const installCommand = (name: OptionalPackage): string =>
  `npm install ${name}@${manifest().optionalDependencies[name]}`;

/** Packages that npm may leave out (`--omit=optional`): each import of one has words for its absence. */
type OptionalPackage = "webgpu" | "echarts";

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";

const manifest = (): { version: string; optionalDependencies: Record<OptionalPackage, string> } =>
  JSON.parse(readFileSync(packageFile("package.json"), "utf8"));
