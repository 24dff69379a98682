/**
 * Entry of the process that renders chat templates: one job at a time, by messages. Its memory is bounded by the flag that
 * it is started with, its time by the parent, which ends it; and by itself, should the parent be gone.
 */
import { Script } from "node:vm";
import { type Compiled, compile, NotUnderstood, Raised } from "../text/jinja.js";
import type { TemplateAnswer, TemplateJob } from "./platform.js";

/** Characters of a rendered prompt; contexts hold far less. */
const MOST_CHARACTERS = 1 << 24;
const MOST_COMPILED = 8;

const compiled = new Map<string, Compiled>();

function templateOf(source: string): Compiled {
  let template = compiled.get(source);
  if (template === undefined) {
    template = compile(source);
    if (compiled.size === MOST_COMPILED) compiled.clear();
    compiled.set(source, template);
  }
  return template;
}

function answer({ template, render }: TemplateJob): TemplateAnswer {
  try {
    const { literals, render: run } = templateOf(template);
    if (render === undefined) return { literals };
    const text = run(render.variables, render.literals ?? literals);
    if (text.length <= MOST_CHARACTERS) return { text };
    return { failed: "size", message: `${text.length} characters, of at most ${MOST_CHARACTERS}` };
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof Raised) return { failed: "raised", message };
    if (error instanceof NotUnderstood) {
      return { failed: render === undefined ? "syntax" : "render", message, construct: error.construct };
    }
    return { failed: "render", message };
  }
}

// a script has a time limit, which holds when nobody listens any more
const script = new Script("ternionAnswer()");
process.on("message", (job: TemplateJob) => {
  let result: TemplateAnswer | undefined;
  const ternionAnswer = () => {
    result = answer(job);
  };
  Object.assign(globalThis, { ternionAnswer });
  try {
    script.runInThisContext({ timeout: 2 * job.timeoutMs });
  } catch (error) {
    result = { failed: "render", message: (error as Error).message };
  }
  process.send?.(result);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
