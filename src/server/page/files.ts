/**
 * What the chat page is made of, by the path that it is asked for below the server's root. Read once, when the server starts,
 * so that a request can name nothing else:
 *
 * - `assets/`: HTML, style and icon, shipped as they stand in the source;
 * - `browser/`: the page's modules, as `tsc` made them;
 * - `marked` and `dompurify`: the ES modules of their packages, in place of the modules in `browser/` that name them.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dependencyFile, packageFile } from "../../platform/package.js";

export interface PageFile {
  /** below the server's root, with no slash before it; "" is the page */
  readonly path: string;
  readonly type: string;
  readonly bytes: Buffer;
  /** changes where the bytes do */
  readonly tag: string;
}

const ASSETS = "src/server/page/assets";
const MODULES = "dist/src/server/page/browser";
const DEPENDENCIES = ["marked", "dompurify"];

/** Throws PACKAGE_MISSING. */
export function pageFiles(): PageFile[] {
  const asset = (path: string, type: string, name: string) => file(path, type, packageFile(`${ASSETS}/${name}`));
  const style = (name: string) => asset(`page/${name}`, "text/css; charset=utf-8", name);
  const html = asset("", "text/html; charset=utf-8", "index.html");
  const icon = asset("page/icon.svg", "image/svg+xml", "icon.svg");
  return [html, style("page.css"), style("conversation.css"), icon, ...modules()];
}

function modules(): PageFile[] {
  const names = readdirSync(packageFile(MODULES)).filter((name) => name.endsWith(".js"));
  return names.map((name) => {
    const bare = name.slice(0, -".js".length);
    const address = DEPENDENCIES.includes(bare) ? dependencyFile(bare) : packageFile(`${MODULES}/${name}`);
    return file(`page/${name}`, "text/javascript; charset=utf-8", address);
  });
}

function file(path: string, type: string, address: URL): PageFile {
  const bytes = readFileSync(address);
  return { path, type, bytes, tag: `"${createHash("sha256").update(bytes).digest("base64url")}"` };
}
