/** The next turn of the event loop, on any thread. */
import type { NextTurn } from "./platform.js";

export const nextTurn: NextTurn = () => new Promise((resolve) => setImmediate(resolve));
