/**
 * How fast a model is on this machine: time to load, time to the first token, tokens a second for one answer and for
 * several at once. `ternion bench` and `ternion report` measure more, and beside the limits of the machine.
 *
 *   npm install ternion
 *   node benchmark.mjs [MODEL] [THREADS]
 */
import { collect, Engine } from "ternion";

const [model, threads] = process.argv.slice(2);
const start = performance.now();
const engine = await Engine.load(model, { threads: threads && Number(threads), maxSessions: 4 });
console.log(`${engine.description}, loaded in ${(performance.now() - start).toFixed(0)} ms`);

/** Tokens/s of `count` answers at once, and milliseconds of the slowest prompt. */
async function measure(count, tokens = 64) {
  const sessions = Array.from({ length: count }, () => engine.session());
  const options = { temperature: 0, maxTokens: tokens, ignoreEnd: true };
  const began = performance.now();
  const answers = await Promise.all(sessions.map((session) => collect(session.generate("Once upon a time", options))));
  const seconds = (performance.now() - began) / 1000;
  await Promise.all(sessions.map((session) => session.close()));
  const promptMs = Math.max(...answers.map(({ finish }) => finish.timings.promptMs));
  return { speed: (count * tokens) / seconds, promptMs };
}

await measure(1); // the first answers find cold caches and young code: not counted
for (const count of [1, 2, 4]) {
  const runs = [];
  for (let i = 0; i < 3; i++) runs.push(await measure(count));
  const [, median] = runs.sort((a, b) => a.speed - b.speed);
  console.log(
    `${count} at once: ${median.speed.toFixed(0)} tokens/s, first token after ${median.promptMs.toFixed(0)} ms`,
  );
}
await engine.close();
