/** `engine.trace`: the forward pass over some ids, with every named intermediate kept. */
import * as check from "../check.js";
import { forward } from "../model/forward.js";
import type { Scheduler } from "../run/scheduler.js";

/** One traced intermediate: (rows, width) float32, row-major. */
export interface TracedTensor {
  readonly rows: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Of `engine.trace`. */
export interface TraceOptions {
  /** ids that go through as a prompt, the others one by one, as in generation; default: all */
  readonly promptLength?: number | undefined;
}

export const TRACE_CHECKS: check.OptionChecks<TraceOptions> = { promptLength: check.integer(0) };

/** What to trace: ids in a slot whose earlier positions are not looked at. */
interface Traced {
  readonly ids: readonly number[];
  readonly promptLength: number;
  readonly slot: number;
}

/** The intermediates by name, in the order of computation. Nothing else may run meanwhile: see `Scheduler.alone`. */
export async function traced(
  { backend, model, maxRows }: Scheduler,
  { ids, promptLength, slot }: Traced,
): Promise<Map<string, TracedTensor>> {
  const parts = new Map<string, { width: number; chunks: Float32Array[] }>();
  backend.setTracer((name, data, _rows, width) => {
    const part = parts.get(name) ?? { width, chunks: [] };
    part.chunks.push(data);
    parts.set(name, part);
  });
  try {
    for (let first = 0, end = 0; first < ids.length; first = end) {
      end = first < promptLength ? Math.min(first + maxRows, promptLength) : first + 1;
      const tokens = Int32Array.from(ids.slice(first, end));
      const outputs = tokens.map((_, i) => i);
      const positions = outputs.map((i) => first + i);
      const slots = new Int32Array(tokens.length).fill(slot);
      forward(backend, model, { tokens, slots, positions, outputs });
      await backend.run();
    }
  } finally {
    backend.setTracer(undefined);
  }
  return new Map([...parts].map(([name, { width, chunks }]) => [name, joined(width, chunks)]));
}

function joined(width: number, chunks: readonly Float32Array[]): TracedTensor {
  const data = new Float32Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    data.set(chunk, at);
    at += chunk.length;
  }
  return { rows: data.length / width, width, data };
}
