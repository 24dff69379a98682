/**
 * Why WebGPU may find no adapter on Linux, from the files that Vulkan needs: the loader, a driver's manifest, and a device
 * that this user may open. Each finding comes with the command that repairs it.
 */
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Something that is missing. */
export interface Finding {
  readonly problem: string;
  /** a command, or what to do where no command does it */
  readonly fix: string;
}

type Family = "debian" | "fedora" | "arch" | "suse";

const INSTALL: Readonly<Record<Family, string>> = {
  debian: "apt-get install",
  fedora: "dnf install",
  arch: "pacman -S",
  suse: "zypper install",
};
const LOADER: Readonly<Record<Family, string>> = {
  debian: "libvulkan1",
  fedora: "vulkan-loader",
  arch: "vulkan-icd-loader",
  suse: "libvulkan1",
};
const MESA: Readonly<Record<Family, string>> = {
  debian: "mesa-vulkan-drivers",
  fedora: "mesa-vulkan-drivers",
  arch: "vulkan-radeon vulkan-intel",
  suse: "libvulkan_radeon libvulkan_intel",
};

const LIBRARY_FOLDERS = ["lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib"];
const MULTIARCH = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
const MANIFESTS = ["usr/share/vulkan/icd.d", "etc/vulkan/icd.d", "usr/local/share/vulkan/icd.d"];

/** What Vulkan lacks in the file tree under `root`; empty where all is there. */
export function vulkanFindings(root = "/"): Finding[] {
  const family = familyOf(root);
  const install = (packages: Readonly<Record<Family, string>>) => `${INSTALL[family]} ${packages[family]}`;
  const findings: Finding[] = [];
  if (!hasLoader(root)) {
    findings.push({ problem: "the Vulkan loader (libvulkan.so.1) is not installed", fix: install(LOADER) });
  }
  const manifests = MANIFESTS.flatMap((folder) => list(join(root, folder))).filter((name) => name.endsWith(".json"));
  const hasNvidia = list(join(root, "proc/driver/nvidia")).length > 0;
  if (hasNvidia && !manifests.some((name) => name.includes("nvidia"))) {
    findings.push({
      problem: "the NVIDIA kernel driver is loaded, but its Vulkan driver (nvidia_icd.json) is not here",
      fix: "in a container: start it with NVIDIA_DRIVER_CAPABILITIES=all; else install the driver package with its graphics part",
    });
  } else if (manifests.length === 0) {
    findings.push({ problem: "no Vulkan driver is installed", fix: install(MESA) });
  }
  return [...findings, ...deviceFindings(root, hasNvidia)];
}

function deviceFindings(root: string, hasNvidia: boolean): Finding[] {
  const nodes = list(join(root, "dev/dri")).filter((name) => name.startsWith("renderD"));
  if (nodes.length === 0) {
    if (hasNvidia) return [];
    const fix = "none on a machine without a GPU; in a container: start it with --device /dev/dri";
    return [{ problem: "the system shows no graphics device (/dev/dri/renderD*)", fix }];
  }
  if (nodes.some((name) => mayOpen(join(root, "dev/dri", name)))) return [];
  return [
    { problem: `this user may not open /dev/dri/${nodes[0]}`, fix: 'usermod -aG render "$USER", then log in again' },
  ];
}

function familyOf(root: string): Family {
  const release = text(join(root, "etc/os-release"));
  const ids = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, value]) => value.split(" "));
  if (ids.some((id) => ["fedora", "rhel", "centos"].includes(id))) return "fedora";
  if (ids.includes("arch")) return "arch";
  return ids.some((id) => id.includes("suse")) ? "suse" : "debian";
}

function hasLoader(root: string): boolean {
  const folders = LIBRARY_FOLDERS.flatMap((folder) => [folder, ...MULTIARCH.map((triple) => join(folder, triple))]);
  return folders.some((folder) => list(join(root, folder)).includes("libvulkan.so.1"));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
