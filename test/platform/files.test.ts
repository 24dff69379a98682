/** What is no regular file is refused at once wherever a model, or a dump, is opened: nothing hangs, nothing is read. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Engine, readGguf, repairFile, TernionError, verify } from "../../src/index.js";
import { openFile } from "../../src/platform/file-bytes.js";
import { ternion } from "../cli/program.js";
import { repositoryFile } from "../golden.js";

const TINY = repositoryFile("test/golden/tiny/model.gguf");
const skip = process.platform === "win32" && "Windows has no FIFOs among its files";

describe("what is no regular file", { skip }, () => {
  let folder: string;
  let kinds: readonly (readonly [path: string, kind: RegExp])[];
  const socket = createServer();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-files-"));
    execFileSync("mkfifo", [join(folder, "fifo")]);
    await mkdir(join(folder, "directory"));
    await new Promise<void>((resolve) => socket.listen(join(folder, "socket"), resolve));
    kinds = [
      [join(folder, "fifo"), /fifo: expected a file, got a FIFO \(named pipe\)\. Copy/],
      [join(folder, "directory"), /directory: expected a file, got a directory\. Give/],
      [join(folder, "socket"), /socket: expected a file, got a socket\. Copy/],
      ["/dev/zero", /^\/dev\/zero: expected a file, got a device\. Copy/],
    ];
  });
  after(async () => {
    socket.close();
    await rm(folder, { recursive: true });
  });

  const opens: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
    readGguf,
    "Engine.load": (path) => Engine.load(path),
    repairFile: (path) => repairFile(path, join(folder, "out.gguf")),
    verify: (path) => verify(path),
    openFile,
  };
  for (const [name, opening] of Object.entries(opens)) {
    it(`is refused by ${name}`, async () => {
      for (const [path, message] of kinds) {
        await assert.rejects(opening(path), (error) => {
          assert.ok(error instanceof TernionError);
          assert.equal(error.code, "GGUF_READ");
          assert.match(error.message, message);
          return true;
        });
      }
    });
  }

  it("is refused as a dump", async () => {
    for (const [path, message] of kinds) {
      await assert.rejects(verify(TINY, { against: path }), { code: "VERIFY_DUMP", message });
    }
  });

  it("is refused by the command line", async () => {
    const { code, stderr } = await ternion(["inspect", "--model", join(folder, "fifo")]);
    assert.equal(code, 1);
    assert.match(stderr, /fifo: expected a file, got a FIFO/);
  });
});

describe("reading a head", () => {
  it("obeys the abort signal", async () => {
    const reason = new Error("enough");
    await assert.rejects(readGguf(TINY, { signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const reading = readGguf(TINY, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(reading, reason);
  });
});
