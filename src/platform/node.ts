/** Node.js, Bun and Deno as a platform. */
import type { Platform } from "./platform.js";

export const node: Platform = {
  nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
};
