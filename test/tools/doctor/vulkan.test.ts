/** What Vulkan lacks, in file trees made for the purpose. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { vulkanFindings } from "../../../src/tools/doctor/vulkan.js";

const LOADER = "usr/lib/x86_64-linux-gnu/libvulkan.so.1";
const DRIVER = "usr/share/vulkan/icd.d/radeon_icd.x86_64.json";
const NODE = "dev/dri/renderD128";

/** The findings of a machine that has these files. */
function findingsOf(files: readonly string[], release = "ID=debian\n") {
  const root = mkdtempSync(join(tmpdir(), "ternion-vulkan-"));
  try {
    for (const file of ["etc/os-release", ...files]) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), file === "etc/os-release" ? release : "");
    }
    return vulkanFindings(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("nothing is missing where loader, driver and device are there", () => {
  assert.deepEqual(findingsOf([LOADER, DRIVER, NODE]), []);
});

test("each missing part is named with the command that installs it", () => {
  const [loader, ...rest] = findingsOf([DRIVER, NODE]);
  assert.match(loader.problem, /libvulkan\.so\.1/);
  assert.equal(loader.fix, "apt-get install libvulkan1");
  assert.deepEqual(rest, []);
  const [driver] = findingsOf([LOADER, NODE]);
  assert.equal(driver.fix, "apt-get install mesa-vulkan-drivers");
  const [device] = findingsOf([LOADER, DRIVER]);
  assert.match(device.problem, /\/dev\/dri/);
  assert.equal(findingsOf([]).length, 3);
});

test("the commands are those of the distribution", () => {
  const fixOf = (release: string) => findingsOf([DRIVER, NODE], release)[0].fix;
  assert.equal(fixOf('ID="rocky"\nID_LIKE="rhel centos fedora"\n'), "dnf install vulkan-loader");
  assert.equal(fixOf("ID=ubuntu\nID_LIKE=debian\n"), "apt-get install libvulkan1");
  assert.equal(fixOf("ID=arch\n"), "pacman -S vulkan-icd-loader");
  assert.equal(fixOf('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'), "zypper install libvulkan1");
});

test("an NVIDIA driver without its Vulkan part is not taken for one, Mesa's or not", () => {
  const nvidia = "proc/driver/nvidia/version";
  for (const files of [
    [LOADER, nvidia],
    [LOADER, nvidia, DRIVER],
  ]) {
    const findings = findingsOf(files);
    assert.equal(findings.length, 1);
    assert.match(findings[0].fix, /NVIDIA_DRIVER_CAPABILITIES/);
  }
  assert.deepEqual(findingsOf([LOADER, nvidia, "etc/vulkan/icd.d/nvidia_icd.json"]), []);
});
