/** What the device's memory moves: the roof that kernels are compared with. A driver's own copies may be far slower. */
import type { Device } from "./device.js";
import type { Call } from "./kernel.js";

const REPETITIONS = 5;
/** workgroups side by side in the grid's first dimension */
const ROW = 32_768;

/** Bytes read and written a second by a kernel that copies: the best of some runs, `copies` of `bytes` each. */
export async function measureCopyRate(device: Device, bytes = 1 << 28, copies = 8): Promise<number> {
  const size = Math.min(bytes, device.maxWindow);
  const [from, to] = [await device.allocate(size, "copy rate"), await device.allocate(size, "copy rate")];
  const groups = Math.ceil(size / 16 / 256);
  const call: Call = {
    kernel: {
      name: "copy",
      files: ["copy/copy"],
      entryPoint: "copy",
      constants: {},
      params: [{ name: "count", type: "u32" }],
      bindings: [
        { name: "source", access: "read" },
        { name: "sink", access: "read_write" },
      ],
    },
    params: { count: size / 16 },
    bindings: { source: { buffer: from, offset: 0, size }, sink: { buffer: to, offset: 0, size } },
    grid: [Math.min(groups, ROW), Math.ceil(groups / ROW), 1],
  };
  const calls = Array.from({ length: copies }, () => call);
  await device.execute(calls);
  let best = 0;
  for (let i = 0; i < REPETITIONS; i++) {
    const start = performance.now();
    await device.execute(calls);
    best = Math.max(best, (1000 * 2 * size * copies) / (performance.now() - start));
  }
  from.destroy();
  to.destroy();
  return best;
}
