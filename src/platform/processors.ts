/**
 * How many threads compute at the same time here: what the system lets this process use (its affinity), and no more than a
 * container's quota of processor time, which Node.js takes into account from version 22 on only.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { posix } from "node:path";

export function availableProcessors(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(processorQuota())));
}

/** More threads than these never run at the same time: the same, but for a part of a processor that a quota leaves. */
export function mostProcessors(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(processorQuota())));
}

/**
 * Processors' worth of time that the control groups of this process allow (Linux): the least of its own group and all groups
 * above; Infinity without a limit. `root` is that of the file system. Files: cgroups(7), cgroup v2 "cpu.max" and v1
 * "cpu.cfs_quota_us".
 */
export function processorQuota(root = "/"): number {
  const groups = lines(root, "proc/self/cgroup").map((line) => line.split(":"));
  const mounts = lines(root, "proc/self/mountinfo").map(parseMount);
  let quota = Number.POSITIVE_INFINITY;
  for (const { type, options, from, at } of mounts) {
    const isV2 = type === "cgroup2";
    if (!isV2 && !(type === "cgroup" && options.includes("cpu"))) continue;
    const group = groups.find(([id, names]) => (isV2 ? id === "0" && names === "" : names?.split(",").includes("cpu")));
    if (group === undefined) continue;
    // a container may see its group by another name than its mount has
    const path = posix.relative(from, group.slice(2).join(":"));
    for (const folder of foldersUp(path.startsWith("..") ? "" : path)) {
      quota = Math.min(quota, quotaOf(root, posix.join(at, folder), isV2));
    }
  }
  return quota;
}

/** "a/b" → "a/b", "a", "" */
function foldersUp(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return Array.from({ length: parts.length + 1 }, (_, i) => parts.slice(0, parts.length - i).join("/"));
}

function quotaOf(root: string, folder: string, isV2: boolean): number {
  const word = (name: string) => lines(root, posix.join(folder, name))[0]?.split(" ") ?? [];
  const [limit, period] = isV2 ? word("cpu.max") : [word("cpu.cfs_quota_us")[0], word("cpu.cfs_period_us")[0]];
  const quota = Number(limit) / Number(period);
  return quota > 0 ? quota : Number.POSITIVE_INFINITY; // "max", or -1 in v1, is no limit
}

/** A line of mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER-OPTIONS */
function parseMount(line: string): { type: string; options: string[]; from: string; at: string } {
  const [left = "", right = ""] = line.split(" - ");
  const [, , , from = "/", at = "/"] = left.split(" ");
  const [type = "", , options = ""] = right.split(" ");
  return { type, options: options.split(","), from, at };
}

function lines(root: string, path: string): string[] {
  try {
    return readFileSync(posix.join(root, path), "utf8").split("\n").filter(Boolean);
  } catch {
    return []; // not Linux, or not to be seen from here
  }
}
