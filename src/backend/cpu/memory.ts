/** Shared WebAssembly memory, and what is said where the system gives none. */
import { TernionError } from "../../errors.js";

export const PAGE = 65_536;
/** WebAssembly's 32-bit limit: 4 GiB */
export const MAX_PAGES = 65_536;

/** A memory of `initial` pages that may grow to `maximum`: so much address space is reserved at once, and 4 to 8 GiB more. */
export function sharedMemory(initial: number, maximum: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true });
  } catch (cause) {
    throw new TernionError(
      "OUT_OF_MEMORY",
      `shared memory: expected ${mebibytes(maximum * PAGE)} of address space, and what V8 reserves around it (10 GiB), got ` +
        "less from the system. " +
        "Raise the limit of address space (ulimit -v) or of memory, or close other engines.",
      { cause },
    );
  }
}

/** "12 MiB" */
export const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
