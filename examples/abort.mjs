/**
 * Three ways to end an answer early: an AbortSignal, a time limit, and leaving the loop. Each frees the session's place at
 * once, and the session goes on with the next question.
 *
 *   npm install ternion
 *   node abort.mjs [MODEL]
 */
import { collect, Engine } from "ternion";

const engine = await Engine.load(process.argv[2]);
const session = engine.session();
const endless = { ignoreEnd: true }; // only here, to have something to end

// 1. a signal: for "stop" in a page, or a client that has gone away
const controller = new AbortController();
let tokens = 0;
try {
  for await (const { id } of session.generate("Once upon a time", { ...endless, signal: controller.signal })) {
    if (id !== undefined && ++tokens === 20) controller.abort();
  }
} catch (error) {
  console.log(`${error.name} after ${tokens} tokens`); // AbortError
}

// 2. a time limit
try {
  await collect(session.generate("Once upon a time", { ...endless, signal: AbortSignal.timeout(200) }));
} catch (error) {
  console.log(`${error.name} after 200 ms`); // TimeoutError
}

// 3. no error at all: leave the loop, or give the generator back with return()
let text = "";
for await (const piece of session.generate("Once upon a time", endless)) {
  text += piece.text;
  if (text.length > 40) break;
}
console.log(`left after ${text.length} characters`);

const { text: answer } = await collect(session.generate("What is the capital of France?", { temperature: 0 }));
console.log(answer.trim());
await engine.close();
