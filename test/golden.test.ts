/** The goldens are what their commands make, where Python can run them. */
import { execFile } from "node:child_process";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { repositoryFile } from "./golden.js";

const run = promisify(execFile);

/** Rejects where the command finds a difference. */
async function remade(t: TestContext, module: string, ...args: readonly string[]): Promise<void> {
  try {
    await run("python3", ["-c", `import ${module}`]);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return t.skip(code === "ENOENT" ? "python3 is not installed" : `python3 has no ${module}`);
  }
  const { stdout } = await run("python3", args);
  t.diagnostic(stdout.trim());
}

const path = (name: string) => repositoryFile(`test/golden/${name}`);

for (const model of ["tiny", "gqa"]) {
  test(`${model}: a float64 forward pass in NumPy`, (t) => remade(t, "numpy", path("forward.py"), path(model)));
}

test("chat templates: Jinja2 for Python", (t) => remade(t, "jinja2", path("chat-templates.py")));
