/**
 * Ops of a single row (decode) that one dispatch computes together: a norm, the matrices that read it, and what follows those.
 * Everything that the ops would write is written all the same.
 */
import type { Call, Window } from "../device/kernel.js";
import { areAlike, blocksOf } from "../kernels/ternary.js";
import { type Finish, type Partials, rowMemory, ternaryRow } from "../kernels/ternary-row.js";
import { type Gate, NONE, type NormQuantize, type Op, type RopeStore, type Ternary } from "../record.js";
import type { Memory } from "./memory.js";

/** Where the batch's slots and positions lie: in one buffer, the positions after the slots. */
export interface Places {
  readonly slots: Window;
  readonly positions: Window;
}

export interface JoinedRow {
  readonly call: Call;
  /** how many ops it stands for */
  readonly count: number;
}

/** A norm and the matrices that read it. */
interface Start {
  readonly memory: Memory;
  readonly norm: NormQuantize;
  readonly ternary: Ternary;
  /** input of the norm */
  readonly x: Window | Partials;
}

/**
 * What begins at `ops[i]`, a norm; undefined where nothing can be joined. `partials`, where given, stand for the norm's
 * input.
 */
export function joinRow(
  memory: Memory,
  ops: readonly Op[],
  i: number,
  { batch, partials }: { batch: Places; partials?: Partials | undefined },
): JoinedRow | undefined {
  const [norm, ternary, third] = ops.slice(i, i + 3);
  if (norm?.op !== "normQuantize" || ternary?.op !== "ternary" || ternary.x !== norm.out) return undefined;
  const { width } = memory.quantizedOf(norm.out);
  const { maxComputeWorkgroupStorageSize } = memory.device.gpu.limits;
  const matrices = ternary.projections.map(({ weight }) => memory.ternaryOf(weight));
  if (!areAlike(matrices) || width % 128 !== 0) return undefined;
  if (rowMemory(width, blocksOf(matrices[0], width)) > maxComputeWorkgroupStorageSize) return undefined;

  const start: Start = { memory, norm, ternary, x: partials ?? memory.tensor(norm.x).window };
  const candidates: (JoinedRow | undefined)[] = [
    third?.op === "ropeStore" ? withRope(start, third, batch) : undefined,
    third?.op === "gate" ? withGate(start, third) : undefined,
    alone(start),
  ];
  return candidates.find((row) => row !== undefined && isPossible(memory, row.call));
}

function alone(start: Start): JoinedRow | undefined {
  const { projections } = start.ternary;
  const most = projections.some(({ addTo }) => addTo !== NONE) ? 1 : 3;
  return projections.length > most ? undefined : { call: rowCall(start, { kind: "store" }), count: 2 };
}

function withGate(start: Start, { gate, up, out, activation }: Gate): JoinedRow | undefined {
  const [first, second, third] = start.ternary.projections;
  const rows = [first, second].map((projection) => projection && start.memory.ternaryOf(projection.weight).rows);
  const follows = third === undefined && first?.out === gate && second?.out === up && rows[0] === rows[1];
  return follows && out === gate ? { call: rowCall(start, { kind: "gate", activation }), count: 3 } : undefined;
}

function withRope(start: Start, store: RopeStore, { slots, positions }: Places): JoinedRow | undefined {
  const { memory, ternary } = start;
  const { projections } = ternary;
  const [q, k, v] = [store.q, store.k, store.v].map((out) => projections.find((projection) => projection.out === out));
  const cache = memory.cacheOf(store.cache).layers[store.layer];
  if (projections.length !== 3 || q === undefined || k === undefined || v === undefined) return undefined;
  if (cache.headDim % 32 !== 0 || projections.some(({ addTo }) => addTo !== NONE)) return undefined;
  // one binding for both
  const size = positions.offset + positions.size - slots.offset;
  const places = { buffer: slots.buffer, offset: slots.offset, size };
  const positionAt = (positions.offset - slots.offset) / 4;
  const ordered = { ...start, ternary: { ...ternary, projections: [q, k, v] } };
  return { call: rowCall(ordered, { kind: "rope", cache, places, positionAt }), count: 3 };
}

function rowCall({ memory, norm, ternary, x }: Start, finish: Finish): Call {
  const { width, normed, values, scales, sums } = memory.quantizedOf(norm.out);
  const operands = {
    x,
    weight: memory.normOf(norm.weight),
    eps: norm.eps,
    columns: width,
    quantized: { normed, values, scales, sums },
    projections: ternary.projections.map(({ weight, out, addTo }) => ({
      ...memory.ternaryOf(weight),
      out: memory.tensor(out).window,
      ...(addTo !== NONE && { addTo: memory.tensor(addTo).window }),
    })),
  };
  return ternaryRow(operands, finish);
}

/** Whether the device binds that many windows, and none that is written twice or read as well: it would be read half written. */
function isPossible(memory: Memory, { kernel, bindings }: Call): boolean {
  if (kernel.bindings.length > memory.device.gpu.limits.maxStorageBuffersPerShaderStage) return false;
  return kernel.bindings.every(({ name, access }, i) => {
    return kernel.bindings.slice(i + 1).every((other) => {
      const [a, b] = [bindings[name], bindings[other.name]];
      const reading = access === "read" && other.access === "read";
      const apart = a.offset + a.size <= b.offset || b.offset + b.size <= a.offset;
      return a.buffer !== b.buffer || reading || (access === other.access && apart);
    });
  });
}
