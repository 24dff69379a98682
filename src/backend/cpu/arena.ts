/**
 * Typed allocation in one shared WebAssembly memory: the arena holds weights, caches, activations and the words by which
 * threads meet. Blocks are never freed one by one; the memory goes with the backend.
 */
import { TernionError } from "../../errors.js";
import { MAX_PAGES, mebibytes, PAGE, sharedMemory } from "./memory.js";

/** one cache line, so that no two blocks share one */
const ALIGNMENT = 64;

export class Arena {
  #memory = sharedMemory(16, MAX_PAGES);
  #end = ALIGNMENT; // address 0 stays unused: a pointer of 0 means "none"
  #views = viewsOf(this.#memory.buffer);

  /** Address of a new zeroed block of `bytes`, on a cache line. `what` names it if the memory is full. */
  allocate(bytes: number, what: string): number {
    const address = this.#end;
    const end = address + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    if (end > MAX_PAGES * PAGE) throw full(what, bytes, address);
    const missing = Math.ceil(end / PAGE) - this.memory.buffer.byteLength / PAGE;
    if (missing > 0) this.#grow(missing, what, bytes);
    this.#end = end;
    return address;
  }

  get memory(): WebAssembly.Memory {
    return this.#memory;
  }

  /** Lets go of the memory; all views are empty from now on. */
  release(): void {
    this.#memory = new WebAssembly.Memory({ initial: 0 });
    this.#views = viewsOf(this.#memory.buffer);
    this.#end = 0;
  }

  get byteLength(): number {
    return this.#end;
  }

  /** Views of the whole memory; take them anew after an `allocate`. */
  get i8(): Int8Array {
    return this.#views.i8;
  }
  get i32(): Int32Array {
    return this.#views.i32;
  }
  get f32(): Float32Array {
    return this.#views.f32;
  }

  #grow(pages: number, what: string, bytes: number): void {
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw full(what, bytes, this.#end, cause);
    }
    this.#views = viewsOf(this.memory.buffer);
  }
}

function viewsOf(buffer: ArrayBufferLike) {
  return { i8: new Int8Array(buffer), i32: new Int32Array(buffer), f32: new Float32Array(buffer) };
}

function full(what: string, bytes: number, used: number, cause?: unknown): TernionError {
  const system = cause === undefined ? "" : " and the system gave no more";
  return new TernionError(
    "OUT_OF_MEMORY",
    `${what}: needs ${mebibytes(bytes)} beside ${mebibytes(used)} in use, of ${mebibytes(MAX_PAGES * PAGE)} of shared memory${system}. ` +
      "Choose a smaller contextLength, or fewer cachePositions.",
    { cause },
  );
}
