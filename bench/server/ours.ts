/** The server as its users run it, a process of its own, asked over HTTP. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fixedPrompt } from "../../src/cli/fixed-prompt.js";
import type { Setup } from "../peers/protocol.js";
import { ROOT } from "../results.js";
import { longestPause, promptOf, type ServerFigure, type ServerQuestion } from "./questions.js";

const SAMPLING = { temperature: 1, top_k: 40, seed: 1, ignore_eos: true, stream: true };

export class OurServer {
  readonly description = "ternion serve";
  readonly #ids: number[];

  private constructor(
    readonly child: ChildProcess,
    readonly url: string,
    { contextLength, vocabulary }: { contextLength: number; vocabulary: number },
  ) {
    this.#ids = fixedPrompt(2 * contextLength, vocabulary, undefined);
  }

  static async start({ model, threads, contextLength }: Setup, vocabulary: number): Promise<OurServer> {
    const args = ["serve", "--model", model, "--threads", `${threads}`, "--ctx", `${contextLength}`, "--port", "0"];
    const child = spawn(process.execPath, [`${ROOT}dist/src/cli/main.js`, ...args, "--log-level", "warn"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    for await (const line of createInterface(child.stderr)) {
      const [, url] = /listening at (http:\S+)/.exec(line) ?? [];
      if (url === undefined) continue;
      child.stderr.resume();
      return new OurServer(child, url, { contextLength, vocabulary });
    }
    throw new Error(`${ROOT}dist/src/cli/main.js serve: expected an address, got the end`);
  }

  async stop(): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await exit;
  }

  measure(question: ServerQuestion): Promise<ServerFigure> {
    return question.kind === "beside" ? this.#beside(question) : this.#clients(question);
  }

  async #clients({ clients, prompt, tokens }: Extract<ServerQuestion, { kind: "clients" }>): Promise<ServerFigure> {
    const start = performance.now();
    const prompts = Array.from({ length: clients }, (_, client) => this.#prompt(client, prompt));
    await Promise.all(prompts.map((ids) => this.#times(ids, tokens)));
    return { tokensPerSecond: (1000 * clients * tokens) / (performance.now() - start) };
  }

  async #beside({ prompt, running }: Extract<ServerQuestion, { kind: "beside" }>): Promise<ServerFigure> {
    const stop = new AbortController();
    const times: number[] = [];
    const other = running ? this.#times(this.#prompt(1, 32), 1000, { times, signal: stop.signal }) : undefined;
    other?.catch(() => {}); // it is aborted
    while (running && times.length < 8) await new Promise((resolve) => setTimeout(resolve, 1));
    const start = performance.now();
    const [end] = await this.#times(this.#prompt(0, prompt), 1);
    stop.abort();
    return { firstMs: end - start, stallMs: longestPause(times, start, end) };
  }

  /** Never the same twice, so that none is found in the prefix cache. */
  #prompt(client: number, length: number): number[] {
    this.#ids.push(this.#ids.shift() as number);
    return promptOf(this.#ids, client, length);
  }

  /** When each part of the answer came: a token each, but for the few that are no whole character. */
  async #times(
    prompt: readonly number[],
    tokens: number,
    { times = [], signal }: { times?: number[]; signal?: AbortSignal } = {},
  ): Promise<number[]> {
    const response = await fetch(`${this.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt, max_tokens: tokens, ...SAMPLING }),
      ...(signal !== undefined && { signal }),
    });
    if (!response.ok || response.body === null) throw new Error(`expected an answer, got ${await response.text()}`);
    const decoder = new TextDecoder();
    for await (const part of response.body) {
      const events = decoder.decode(part, { stream: true }).match(/^data: \{/gm)?.length ?? 0;
      for (let i = 0; i < events; i++) times.push(performance.now());
    }
    return times;
  }
}
