/** What the package holds: every file that its own documents link to, nothing that is of no use there, and a whole lock file. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { repositoryFile } from "../golden.js";

interface Packed {
  readonly files: readonly { readonly path: string; readonly size: number }[];
  readonly unpackedSize: number;
}

const packed = (() => {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const text = execFileSync("npm", args, {
    cwd: repositoryFile(""),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const listing = JSON.parse(text) as Packed[] | Record<string, Packed>;
  return Object.values(listing)[0];
})();
const PATHS = packed.files.map(({ path }) => path);

/** Targets in the repository of a document's links and images, without their #anchors. */
function linksOf(document: string): string[] {
  const text = readFileSync(repositoryFile(document), "utf8").replace(/^```[\s\S]*?^```/gm, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target.replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target))
    .map((target) => posix.join(posix.dirname(document), target));
}

test("every link of a packed document leads to a packed file", () => {
  const documents = PATHS.filter((path) => path.endsWith(".md"));
  for (const needed of ["README.md", "docs/bundlers.md", "docs/gpu.md"]) assert.ok(documents.includes(needed), needed);
  const dead = documents.flatMap((document) =>
    linksOf(document)
      .filter((target) => !PATHS.includes(target))
      .map((target) => `${document} → ${target}`),
  );
  assert.deepEqual(dead, []);
  assert.ok(linksOf("README.md").length >= 8, "the links were found");
});

const USED = [
  /^dist\/src\/.*\.(js|d\.ts)$/,
  /^src\/server\/page\/assets\/[\w-]+\.(html|css|svg)$/,
  /^dist\/asm\/kernels\.\w+\.wasm$/,
  /^wgsl\/[\w-]+\/[\w-]+\.wgsl$/,
  /^models\/(ternion-tiny\.gguf|README\.md)$/,
  /^docs\/[\w-]+\.md$/,
  /^deploy\/ternion\.service$/,
  /^examples\/([\w-]+\.mjs|README\.md)$/,
  /^bench\/results\/.*\.svg$/,
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/,
];

test("the package holds what runs and what is read, and no more", () => {
  const odd = PATHS.filter((path) => !USED.some((form) => form.test(path)));
  assert.deepEqual(odd, []);
  assert.ok(packed.unpackedSize < 6.5e6, `${packed.unpackedSize} bytes`);
});

test("the lock file names the optional packages of all platforms, and no host", () => {
  const text = readFileSync(repositoryFile("package-lock.json"), "utf8");
  assert.doesNotMatch(text, /"resolved": "http/);
  const { packages } = JSON.parse(text) as { packages: Record<string, { optionalDependencies?: object }> };
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
      assert.ok(
        places.some((place) => place in packages),
        `${path || "the project"}: ${name} is not in the lock file`,
      );
    }
  }
});
