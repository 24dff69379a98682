/** A temporary folder as a user's project: packages are installed into it from the registry, and programs run in it. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Folder {
  static async create(name: string): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), `ternion-${name}-`)));
    await folder.write("package.json", JSON.stringify({ private: true, type: "module" }));
    return folder;
  }

  private constructor(readonly path: string) {}

  async write(file: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.path, file)), { recursive: true });
    await writeFile(join(this.path, file), text);
  }

  /** Never rejects: how it ended is in the outcome. */
  run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    return new Promise((resolve) => {
      const options = { cwd: this.path, env: { ...process.env, ...env }, maxBuffer: 1 << 26 };
      execFile(program, args, options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }

  node(...args: string[]): Promise<Outcome> {
    return this.run(process.execPath, args);
  }

  /** `npm install`; rejects with npm's words. */
  async install(...args: string[]): Promise<void> {
    const outcome = await this.run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...args]);
    if (outcome.code !== 0) throw new Error(`npm install ${args.join(" ")}: ${outcome.stderr || outcome.stdout}`);
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}
