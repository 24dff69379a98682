/** A thread of the pool: does its calls between two meetings, until the task has ended. */
import { parentPort, workerData } from "node:worker_threads";
import { Member, type Task, type WorkerSetup } from "./thread-pool.js";

const member = new Member(workerData as WorkerSetup);

parentPort?.on("message", ({ number, calls }: Task) => {
  const run = member.bind(calls);
  for (;;) {
    member.meet();
    if (member.hasEnded(number)) return;
    run();
    member.meet();
  }
});
