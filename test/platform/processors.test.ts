/** The default number of threads: a container's quota is read from the files that Linux shows, here from copies of them. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { availableProcessors, processorQuota } from "../../src/platform/processors.js";

const V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
const V1 = "33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct";
const V1_IN_DOCKER = "733 724 0:29 /docker/0a1b /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct";

const CASES: readonly [name: string, files: Readonly<Record<string, string>>, quota: number][] = [
  ["no control groups", {}, Number.POSITIVE_INFINITY],
  [
    "v2, a container that sees its group as the root",
    {
      "proc/self/cgroup": "0::/",
      "proc/self/mountinfo": V2,
      "sys/fs/cgroup/cpu.max": "200000 100000",
    },
    2,
  ],
  [
    "v2, no limit",
    {
      "proc/self/cgroup": "0::/",
      "proc/self/mountinfo": V2,
      "sys/fs/cgroup/cpu.max": "max 100000",
    },
    Number.POSITIVE_INFINITY,
  ],
  [
    "v2, the least of all groups above",
    {
      "proc/self/cgroup": "0::/machine.slice/unit:1.scope",
      "proc/self/mountinfo": V2,
      "sys/fs/cgroup/machine.slice/cpu.max": "150000 100000",
      "sys/fs/cgroup/machine.slice/unit:1.scope/cpu.max": "400000 100000",
    },
    1.5,
  ],
  [
    "v2, a group outside of the mount",
    {
      "proc/self/cgroup": "0::/../other",
      "proc/self/mountinfo": V2,
      "sys/fs/cgroup/cpu.max": "300000 100000",
    },
    3,
  ],
  [
    "v1",
    {
      "proc/self/cgroup": "4:cpu,cpuacct:/user\n1:name=systemd:/user",
      "proc/self/mountinfo": V1,
      "sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_quota_us": "50000",
      "sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_period_us": "100000",
    },
    0.5,
  ],
  [
    "v1, in a container, no limit",
    {
      "proc/self/cgroup": "4:cpu,cpuacct:/docker/0a1b",
      "proc/self/mountinfo": V1_IN_DOCKER,
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    },
    Number.POSITIVE_INFINITY,
  ],
  [
    "v1, in a container",
    {
      "proc/self/cgroup": "4:cpu,cpuacct:/docker/0a1b",
      "proc/self/mountinfo": V1_IN_DOCKER,
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    },
    2.5,
  ],
  [
    "damaged files",
    {
      "proc/self/cgroup": "nonsense\n\n0::",
      "proc/self/mountinfo": `${V2}\nnonsense`,
      "sys/fs/cgroup/cpu.max": "a b c",
    },
    Number.POSITIVE_INFINITY,
  ],
];

describe("the quota of processors", () => {
  for (const [name, files, quota] of CASES) {
    test(name, () => {
      const root = mkdtempSync(join(tmpdir(), "ternion-cgroup-"));
      try {
        for (const [path, text] of Object.entries(files)) {
          mkdirSync(dirname(join(root, path)), { recursive: true });
          writeFileSync(join(root, path), `${text}\n`);
        }
        assert.equal(processorQuota(root), quota);
      } finally {
        rmSync(root, { recursive: true });
      }
    });
  }

  test("there is at least one thread, and no more than the system runs at a time", () => {
    assert.ok(availableProcessors() >= 1 && availableProcessors() <= availableParallelism());
  });
});
