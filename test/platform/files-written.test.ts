/** Files that are written are whole or not there, whatever they are written to. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeFolder, writeWhole } from "../../src/platform/files.js";

const UNIX = process.platform !== "win32";
// this file runs as dist/test/platform/files-written.test.js
const MODULE = new URL("../../src/platform/files.js", import.meta.url).href;

describe("writeWhole", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-files-"));
  });
  after(() => rm(directory, { recursive: true }));

  it("leaves what was there when the writer fails, and nothing else", async () => {
    const path = join(directory, "kept.txt");
    await writeFile(path, "old");
    const failing = writeWhole(path, async (file) => {
      await file.writeFile("half");
      throw new Error("no space");
    });
    await assert.rejects(failing, /no space/);
    assert.equal(await readFile(path, "utf8"), "old");
    assert.deepEqual(await readdir(directory), ["kept.txt"]);
  });

  it("leaves what was there when the process is killed", async () => {
    const path = join(directory, "killed.txt");
    await writeFile(path, "old");
    const script = `import { writeWhole } from ${JSON.stringify(MODULE)};
      await writeWhole(${JSON.stringify(path)}, async (file) => {
        await file.writeFile("half"); console.log("half"); setInterval(() => {}, 1000); await new Promise(() => {});
      });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    assert.equal(await readFile(path, "utf8"), "old");
  });

  it("writes through a link, and keeps the mode", { skip: !UNIX && "modes and links are those of Unix" }, async () => {
    const [path, link] = [join(directory, "target.txt"), join(directory, "link.txt")];
    await writeFile(path, "old");
    await chmod(path, 0o640);
    await symlink("target.txt", link);
    await writeWhole(link, (file) => file.writeFile("new"));
    assert.equal(await readFile(path, "utf8"), "new");
    assert.ok((await lstat(link)).isSymbolicLink());
    assert.equal((await stat(path)).mode & 0o777, 0o640);
  });

  it("writes to a FIFO as it is", { skip: !UNIX && "there are no FIFOs" }, async () => {
    const path = join(directory, "fifo");
    execFileSync("mkfifo", [path]);
    const reader = readFile(path, "utf8");
    await writeWhole(path, (file) => file.writeFile("through"));
    assert.equal(await reader, "through");
    assert.ok((await stat(path)).isFIFO());
  });

  it("refuses a directory", async () => {
    await assert.rejects(
      writeWhole(directory, async () => {}),
      { code: "EISDIR" },
    );
  });
});

describe("makeFolder", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-files-"));
  });
  after(() => rm(directory, { recursive: true }));

  it("makes the parents too, once for all who ask at the same time", async () => {
    const path = join(directory, "a", "b", "c");
    await Promise.all(Array.from({ length: 8 }, () => makeFolder(path)));
    assert.ok((await stat(path)).isDirectory());
    await makeFolder(path);
    await makeFolder(directory);
  });

  it("fails where a part of the path is a file", async () => {
    const path = join(directory, "file");
    await writeFile(path, "");
    await assert.rejects(makeFolder(path), { code: "EEXIST" });
    await assert.rejects(makeFolder(join(path, "a", "b")), { code: UNIX ? "ENOTDIR" : "EEXIST" });
  });

  it("ends where a folder takes none", { skip: process.platform !== "linux" && "there is no /proc" }, async () => {
    await assert.rejects(makeFolder("/proc/ternion/a/b"), { code: "ENOENT" });
  });
});
