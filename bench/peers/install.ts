/** node-llama-cpp is no dependency: it is installed beside the models when it is measured. */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { promisify } from "node:util";
import { CACHE } from "../options.js";

const PACKAGE = "node-llama-cpp";
export const VERSION = "3.22.1";

/** Installs the peer with its prebuilt CPU binary; nothing is compiled, and package.json stays as it is. */
export async function installPeer(): Promise<void> {
  const folder = `${CACHE}peers`;
  try {
    await access(`${folder}/node_modules/${PACKAGE}`);
  } catch {
    process.stderr.write(`installing ${PACKAGE} ${VERSION} into models/cache/peers\n`);
    const system = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string] ?? process.platform;
    const packages = [`${PACKAGE}@${VERSION}`, `@${PACKAGE}/${system}-${process.arch}@${VERSION}`];
    const how = ["install", "--no-save", "--omit=optional", "--ignore-scripts", "--prefix", folder];
    await promisify(execFile)("npm", [...how, ...packages]);
  }
}
