/**
 * Ops of a single row (decode) that one dispatch computes together: a norm, the matrices behind it, and what follows those.
 * Everything that the ops would write is written all the same.
 */
import type { Call, Window } from "./kernel.js";
import { type Finish, rowMemory, ternaryRow } from "./kernels/ternary-row.js";
import type { Memory } from "./memory.js";
import type { NormQuantize, Op, Ternary } from "./record.js";

type RopeStore = Op & { op: "ropeStore" };

/** Where the batch's slots and positions lie: in one buffer, the positions behind. */
export interface Places {
  readonly slots: Window;
  readonly positions: Window;
}

export interface JoinedRow {
  readonly call: Call;
  /** how many ops it stands for */
  readonly count: number;
}

/** What begins at `ops[i]`; undefined where nothing can be joined. */
export function joinRow(memory: Memory, ops: readonly Op[], i: number, batch: Places): JoinedRow | undefined {
  const [norm, ternary, third] = ops.slice(i, i + 3);
  if (norm?.op !== "normQuantize" || ternary?.op !== "ternary" || ternary.x !== norm.out) return undefined;
  const { width } = memory.quantizedOf(norm.out);
  const { maxComputeWorkgroupStorageSize } = memory.device.gpu.limits;
  if (rowMemory(width) > maxComputeWorkgroupStorageSize || width % 128 !== 0) return undefined;

  const candidates: JoinedRow[] = [];
  if (third?.op === "ropeStore") {
    const call = rope(memory, norm, ternary, third, batch);
    if (call !== undefined) candidates.push({ call, count: 3 });
  }
  if (third?.op === "gate") {
    const [gate, up] = ternary.projections;
    const follows = ternary.projections.length === 2 && third.gate === gate.out && third.up === up.out;
    if (follows && third.out === gate.out && memory.ternaryOf(gate.weight).rows === memory.ternaryOf(up.weight).rows) {
      const call = rowCall(memory, norm, ternary, { kind: "gate", activation: third.activation });
      candidates.push({ call, count: 3 });
    }
  }
  const added = ternary.projections.some(({ addTo }) => addTo !== undefined);
  if (ternary.projections.length <= (added ? 1 : 3)) {
    candidates.push({ call: rowCall(memory, norm, ternary, { kind: "store" }), count: 2 });
  }
  return candidates.find(({ call }) => isPossible(memory, call));
}

function rope(
  memory: Memory,
  norm: NormQuantize,
  ternary: Ternary,
  store: RopeStore,
  { slots, positions }: Places,
): Call | undefined {
  const { projections } = ternary;
  const ordered = [store.q, store.k, store.v].map((out) => projections.find((projection) => projection.out === out));
  const [q, k, v] = ordered;
  const { shape, angles, keys, values } = memory.cacheOf(store.cache);
  const { headDim, positions: capacity } = shape;
  if (projections.length !== 3 || q === undefined || k === undefined || v === undefined) return undefined;
  if (headDim % 16 !== 0 || projections.some(({ addTo }) => addTo !== undefined)) return undefined;
  // one binding for both
  const size = positions.offset + positions.size - slots.offset;
  const places = { buffer: slots.buffer, offset: slots.offset, size };
  return rowCall(
    memory,
    norm,
    { ...ternary, projections: [q, k, v] },
    {
      kind: "rope",
      angles,
      places,
      positionAt: (positions.offset - slots.offset) / 4,
      keys: keys[store.layer],
      values: values[store.layer],
      headDim,
      capacity,
    },
  );
}

function rowCall(memory: Memory, norm: NormQuantize, { projections }: Ternary, finish: Finish): Call {
  const { width, normed, values, scales, sums } = memory.quantizedOf(norm.out);
  const operands = {
    x: memory.tensor(norm.x).window,
    weight: memory.normOf(norm.weight),
    eps: norm.eps,
    columns: width,
    quantized: { normed, values, scales, sums },
    projections: projections.map(({ weight, out, addTo }) => ({
      ...memory.ternaryOf(weight),
      out: memory.tensor(out).window,
      ...(addTo !== undefined && { addTo: memory.tensor(addTo).window }),
    })),
  };
  return ternaryRow(operands, finish);
}

/** Whether the device binds that many buffers, and none that is written a second time: others would read it half written. */
function isPossible(memory: Memory, { kernel, bindings }: Call): boolean {
  if (kernel.bindings.length > memory.device.gpu.limits.maxStorageBuffersPerShaderStage) return false;
  const buffers = kernel.bindings.map(({ name }) => bindings[name].buffer);
  return kernel.bindings.every(({ access }, i) => {
    return access === "read" || buffers.every((buffer, j) => j === i || buffer !== buffers[i]);
  });
}
