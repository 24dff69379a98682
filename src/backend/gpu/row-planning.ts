/**
 * Ops of a single row (decode) that one dispatch computes together: a norm, the matrices behind it, and what follows those.
 * Everything that the ops would write is written all the same.
 */
import type { Call, Window } from "./kernel.js";
import { type Finish, rowMemory, ternaryRow } from "./kernels/ternary-row.js";
import type { Memory } from "./memory.js";
import type { NormQuantize, Op, Ternary } from "./record.js";

type RopeStore = Op & { op: "ropeStore" };
type Attend = Op & { op: "attend" };

export interface JoinedRow {
  readonly call: Call;
  /** attention over what the call made, whose key and value are not in the cache yet */
  readonly attend?: { readonly op: Attend; readonly k: number; readonly v: number };
  /** how many ops the call and the attention stand for */
  readonly count: number;
}

/** What begins at `ops[i]`; undefined where nothing can be joined. */
export function joinRow(
  memory: Memory,
  ops: readonly Op[],
  i: number,
  { positions }: { positions: Window },
): JoinedRow | undefined {
  const [norm, ternary, third, fourth] = ops.slice(i, i + 4);
  if (norm?.op !== "normQuantize" || ternary?.op !== "ternary" || ternary.x !== norm.out) return undefined;
  const { width } = memory.quantizedOf(norm.out);
  const { maxComputeWorkgroupStorageSize } = memory.device.gpu.limits;
  if (rowMemory(width) > maxComputeWorkgroupStorageSize || width % 128 !== 0) return undefined;

  const candidates: JoinedRow[] = [];
  if (third?.op === "ropeStore" && fourth?.op === "attend") {
    const call = rope(memory, norm, ternary, { store: third, attend: fourth, positions });
    if (call !== undefined) candidates.push({ call, attend: { op: fourth, k: third.k, v: third.v }, count: 4 });
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
  { store, attend, positions }: { store: RopeStore; attend: Attend; positions: Window },
): Call | undefined {
  const { projections } = ternary;
  const same = attend.cache === store.cache && attend.layer === store.layer && attend.q === store.q;
  const ordered = [store.q, store.k, store.v].map((out) => projections.find((projection) => projection.out === out));
  const [q, k, v] = ordered;
  const { shape, angles } = memory.cacheOf(store.cache);
  if (!same || projections.length !== 3 || q === undefined || k === undefined || v === undefined) return undefined;
  if (shape.headDim % 16 !== 0 || projections.some(({ addTo }) => addTo !== undefined)) return undefined;
  const finish: Finish = { kind: "rope", angles, positions, headDim: shape.headDim };
  return rowCall(memory, norm, { ...ternary, projections: [q, k, v] }, finish);
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
