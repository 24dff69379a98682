/** How the measured processes are asked, one at a time, so that they never run at once. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface Setup {
  readonly model: string;
  readonly threads: number;
  readonly contextLength: number;
}
export type Question =
  | { readonly kind: "generate"; readonly context: number; readonly tokens: number }
  | { readonly kind: "prompt"; readonly tokens: number };

/** An engine as its process answers for it. `A` is tokens a second, where nothing else is said. */
export interface Engine<Q = Question, A = number> {
  readonly description: string;
  measure(question: Q): Promise<A>;
}
type Answer = { readonly ready: string; readonly versions: Versions } | { readonly measured: unknown };
type Versions = { readonly node: string; readonly v8: string };

/** The child's side: loads an engine by the setup in its first argument and answers until the parent goes. */
export async function serve<Q = Question, A = number>(load: (setup: Setup) => Promise<Engine<Q, A>>): Promise<void> {
  const engine = await load(JSON.parse(process.argv[2]) as Setup);
  const send = (answer: Answer) => process.send?.(answer);
  process.on("message", async (question: Q) => send({ measured: await engine.measure(question) }));
  process.on("disconnect", () => process.exit());
  send({ ready: engine.description, versions: { node: process.versions.node, v8: process.versions.v8 } });
}

/** The parent's side. */
export class Peer<Q = Question, A = number> {
  private constructor(
    readonly description: string,
    readonly versions: Versions,
    readonly child: ChildProcess,
  ) {}

  static async start<Q = Question, A = number>(
    script: string,
    setup: Setup,
    options: { readonly node: string; readonly args: readonly string[] },
  ): Promise<Peer<Q, A>> {
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), [JSON.stringify(setup), ...options.args], {
      execPath: options.node,
      execArgv: [],
    });
    const { ready, versions } = (await answerOf(child)) as { ready: string; versions: Versions };
    return new Peer(ready, versions, child);
  }

  async measure(question: Q): Promise<A> {
    this.child.send(question as object);
    return ((await answerOf(this.child)) as { measured: A }).measured;
  }
  async stop(): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.disconnect();
    await exit;
  }
}

async function answerOf(child: ChildProcess): Promise<Answer> {
  const answered = new AbortController();
  const { signal } = answered;
  const gone = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`${child.spawnfile}: expected an answer, got exit status ${code}`);
  });
  try {
    const [answer] = await Promise.race([once(child, "message", { signal }), gone]);
    return answer as Answer;
  } finally {
    answered.abort(); // listeners end with their question
  }
}
