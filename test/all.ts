/**
 * Every test, a file on each processor at a time: `node --test` leaves one processor free, which is half of two. Arguments
 * go to it: `npm test -- --test-reporter dot`.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { repositoryFile } from "./golden.js";

const root = repositoryFile("dist/test");
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.js"))
  .map((path) => join(root, path))
  .sort();
const args = ["--test", `--test-concurrency=${availableParallelism()}`, ...process.argv.slice(2), ...files];
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
