/** Threads of this package that exchange messages: the starting side, and the thread's own. */
import { parentPort, Worker } from "node:worker_threads";
import { packageFile } from "./package.js";

/** Starts the file of the package as a thread; it needs none of the host's arguments, and a file refuses --input-type. */
export const startThread = (file: string): Worker => new Worker(packageFile(file), { execArgv: [] });

/** The way to the thread that has started this one. */
export function threadPort() {
  if (parentPort === null) throw new Error("expected a thread that another one has started, got the first");
  return parentPort;
}
