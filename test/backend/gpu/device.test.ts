/** The device: buffers, copies, compile errors, memory that is not there, and ends in the middle of work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listAdapters, openAdapter } from "../../../src/backend/gpu/device/adapter.js";
import { Device } from "../../../src/backend/gpu/device/device.js";
import type { GpuHost } from "../../../src/backend/gpu/device/host.js";
import type { Call, Kernel } from "../../../src/backend/gpu/device/kernel.js";
import { blockBytes } from "../../../src/backend/gpu/kernels/cache.js";
import { Memory } from "../../../src/backend/gpu/thread/memory.js";
import type { TernionError } from "../../../src/errors.js";
import { webgpu } from "../../../src/platform/webgpu.js";
import { NO_ADAPTER } from "./require.js";

const DOUBLE = `struct Params { factor: f32, count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> sink: array<f32>;
@compute @workgroup_size(64) fn scale(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { sink[id.x] = source[id.x] * params.factor; }
}
`;

const kernel: Kernel = {
  name: "scale",
  files: ["first", "second"],
  entryPoint: "scale",
  constants: {},
  params: [
    { name: "factor", type: "f32" },
    { name: "count", type: "u32" },
  ],
  bindings: [
    { name: "source", access: "read" },
    { name: "sink", access: "read_write" },
  ],
};

/** A host whose shaders are the given texts. */
const hostOf = (texts: Record<string, string>): GpuHost => ({
  ...webgpu,
  shader: async (path) => texts[path.replace(/\.wgsl$/, "")],
});

async function withDevice(texts: Record<string, string>, use: (device: Device) => Promise<void>): Promise<void> {
  const device = await Device.open({}, hostOf(texts));
  try {
    await use(device);
  } finally {
    device.close();
  }
}

const skip = { skip: NO_ADAPTER };
const code = (expected: string) => (error: TernionError) => error.code === expected;

async function scaleCall(device: Device, data: Float32Array): Promise<Call & { to: GPUBuffer }> {
  const [from, to] = [await device.allocate(data.byteLength, "from"), await device.allocate(data.byteLength, "to")];
  device.write(from, 0, data);
  const window = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
  const bindings = { source: window(from), sink: window(to) };
  return { kernel, params: { factor: 2, count: data.length }, bindings, grid: [Math.ceil(data.length / 64), 1, 1], to };
}

test("a call computes, and any bytes can be written and read back", skip, async () => {
  await withDevice({ first: "// nothing\n", second: DOUBLE }, async (device) => {
    const data = Float32Array.from({ length: 1000 }, (_, i) => i);
    const call = await scaleCall(device, data);
    await device.execute([call]);
    const got = new Float32Array(await device.readBack(call.to, 0, data.byteLength));
    assert.deepEqual(
      got,
      data.map((x) => 2 * x),
    );
    device.write(call.to, 4, Uint8Array.of(1, 2, 3, 4, 5));
    assert.deepEqual(new Uint8Array(await device.readBack(call.to, 5, 5)), Uint8Array.of(2, 3, 4, 5, 0));
  });
});

test("a shader that does not compile is named by file and line, with the compiler's words", skip, async () => {
  const broken = DOUBLE.replace("* params.factor", "* params.nothing");
  await withDevice({ first: "// one\n// two\n", second: broken }, async (device) => {
    await assert.rejects(device.pipeline(kernel), (error: TernionError) => {
      assert.equal(error.code, "SHADER");
      assert.match(error.message, /second\.wgsl:6/);
      assert.match(error.message, /nothing/);
      return true;
    });
  });
});

test(
  "a file's other form is taken where the adapter has the feature, and kept away where that is refused",
  skip,
  async (t) => {
    const texts = {
      "shared/reduce": "// plain\nplain mistake",
      "shared/reduce-subgroups": "// one\n// two\nother mistake",
    };
    const files = { ...kernel, files: ["shared/reduce"] };
    await withDevice(texts, async (device) => {
      if (!device.features.has("subgroups")) return t.skip(`${device.description} has no subgroups of one size`);
      assert.match(device.description, /subgroups/);
      await assert.rejects(device.pipeline(files), /shared\/reduce-subgroups\.wgsl:3: /);
      const without = await Device.open({ without: ["subgroups"] }, hostOf(texts));
      await assert.rejects(without.pipeline(files), /shared\/reduce\.wgsl:2: /);
      without.close();
    });
  },
);

test("memory that the adapter has not is an error that says what was asked for", skip, async () => {
  await withDevice({}, async (device) => {
    await assert.rejects(device.allocate(2 ** 44, "a cache of everything"), (error: TernionError) => {
      assert.equal(error.code, "OUT_OF_MEMORY");
      assert.match(error.message, /^a cache of everything: expected 17592186044416 bytes/);
      return true;
    });
    await device.allocate(1024, "little"); // the device lives on
  });
});

test("a cache of which a kernel could not see all is an error before anything runs", skip, async () => {
  await withDevice({}, async (device) => {
    const shape = { layers: 1, slots: 1, positions: 1, kvHeads: 4, headDim: 128, ropeBase: 10_000 };
    const blocks = Math.ceil(device.maxWindow / blockBytes(shape)) + 1;
    await assert.rejects(new Memory(device).addCache(0, { ...shape, blocks }), (error: TernionError) => {
      assert.equal(error.code, "OUT_OF_MEMORY");
      assert.match(error.message, /^key-value cache of \d+ x 128 positions: expected \d+ bytes/);
      return true;
    });
  });
});

test("a device that is destroyed in the middle of work ends the waiting with DEVICE_LOST", skip, async () => {
  await withDevice({ first: "", second: DOUBLE }, async (device) => {
    const call = await scaleCall(device, new Float32Array(1 << 16));
    const working = device.execute(Array.from({ length: 50 }, () => call));
    device.gpu.destroy();
    await assert.rejects(working, code("DEVICE_LOST"));
    await assert.rejects(device.done(), code("DEVICE_LOST"));
  });
});

test("an adapter that is not there is refused with the names of those that are", skip, async () => {
  const [first] = await listAdapters(webgpu);
  await assert.rejects(openAdapter({ adapter: "no such card" }, webgpu), (error: TernionError) => {
    assert.equal(error.code, "BACKEND_UNAVAILABLE");
    assert.ok(error.message.includes(first.name), error.message);
    return true;
  });
  const { software } = await openAdapter({ adapter: first.name.slice(0, 6).toUpperCase() }, webgpu);
  assert.equal(software, first.kind === "software");
  if (software)
    await assert.rejects(openAdapter({ hardwareOnly: true, adapter: first.name }, webgpu), code("BACKEND_UNAVAILABLE"));
});
