/** Every example of every --help, run as it stands in a folder that has the files it names. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { promisify } from "node:util";
import { MAIN, TINY, ternions } from "../cli/program.js";

const COMMANDS = [
  ...["run", "chat", "tokenize", "inspect", "trace", "verify", "perplexity", "bench", "doctor", "report", "repair"],
  "", // the program's own help
];
/** Measurements that take a minute to be exact: shorter here, which changes nothing that is tested. */
const SHORTER: readonly (readonly [RegExp, string])[] = [
  [/--seconds \d+/, "--seconds 1"],
  [/--seed 1 > story/, "--seed 1 --max-tokens 50 > story"],
  [/--repetitions \d+/, "--repetitions 1"],
  [/--contexts [\d,]+/, "--contexts 16,32"],
  [/(?<=ternion report .*--out report)$/, " --seconds 1 --no-verify"],
];

async function examples(): Promise<string[]> {
  const helps = await ternions(COMMANDS.map((command) => [...(command === "" ? [] : [command]), "--help"]));
  return COMMANDS.flatMap((command, i) => {
    const block = /\nExamples:\n((?: {2}.*\n)+)/.exec(helps[i].stdout)?.[1] ?? assert.fail(`${command}: no examples`);
    return block
      .trimEnd()
      .split("\n")
      .map((line) => line.trim());
  }).filter((line) => !/COMMAND/.test(line));
}

function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), "ternion-examples-"));
  const file = (name: string) => join(directory, name);
  const program = `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`;
  writeFileSync(file("ternion"), program, { mode: 0o755 });
  // whether or not it is installed: what it does with the output is not ours
  writeFileSync(file("jq"), "#!/bin/sh\nexec cat\n", { mode: 0o755 });
  for (const name of ["model.gguf", "from-arm.gguf"]) copyFileSync(TINY, file(name));
  writeFileSync(file("text.txt"), "The sun rises in the east.\n");
  writeFileSync(file("question.txt"), "Why is the sky blue?\n");
  execFileSync(
    file("ternion"),
    ["trace", "--model", TINY, "--tokens", "1,2", "--out", file("transformers.safetensors")],
    {
      stdio: "ignore",
    },
  );
  return directory;
}

const skip = process.platform === "win32" && "the examples are those of a Unix shell";

const lines = await examples();
describe("the examples of --help", { skip }, () => {
  if (skip !== false) return;
  const directory = folder();
  after(() => rm(directory, { recursive: true }));
  for (const line of lines) {
    it(line, async () => {
      const command = SHORTER.reduce((text, [long, short]) => text.replace(long, short), line);
      const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
      const running = promisify(execFile)("/bin/sh", ["-c", command], { cwd: directory, env });
      running.child.stdin?.end();
      const { stdout } = await running; // rejects with what was said, if the exit code is not 0
      assert.ok(stdout !== "" || /chat|>|--out/.test(command), "it prints something");
    });
  }
});
