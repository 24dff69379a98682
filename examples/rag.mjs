/**
 * Questions about the files of a folder: the files that share most words with a question go before it into the prompt.
 * What equals the beginning of an earlier prompt is not computed again: `cachedTokens` shows how much that was.
 *
 *   npm install ternion
 *   node rag.mjs [MODEL] [FOLDER]     without a folder: three short notes made here
 */
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collect, Engine } from "ternion";

const [model, folder = await notes()] = process.argv.slice(2);
const files = (await readdir(folder)).filter((name) => /\.(txt|md)$/.test(name)).sort();
const read = async (name) => ({ name, text: await readFile(join(folder, name), "utf8") });
const documents = await Promise.all(files.map(read));
const engine = await Engine.load(model, { contextLength: 1024 });
const wordsOf = (text) => new Set(text.toLowerCase().match(/\p{L}{4,}/gu) ?? []);

/** The two best documents, in the order of the folder: the same choice is then the same text, and found in the cache. */
function chosenFor(question) {
  const asked = wordsOf(question);
  const score = ({ text }) => [...wordsOf(text)].filter((word) => asked.has(word)).length;
  const best = documents.toSorted((a, b) => score(b) - score(a)).slice(0, 2);
  return documents.filter((document) => best.includes(document));
}

for (const question of [
  "When does the library open on Sunday?",
  "Which day is the library closed?",
  "How much does a ticket of the museum cost?",
]) {
  const chosen = chosenFor(question);
  const context = chosen.map(({ name, text }) => `# ${name}\n${text.trim()}`).join("\n\n");
  const messages = [
    { role: "system", content: `Answer from these notes only.\n\n${context}` },
    { role: "user", content: question }, // last, since it differs
  ];
  const session = engine.session(); // of its own: all sessions of an engine share what they computed
  const { text, finish } = await collect(session.chat(messages, { temperature: 0, maxTokens: 40 }));
  await session.close();
  const { promptTokens, cachedTokens } = finish.usage;
  console.log(`${question} (${chosen.map(({ name }) => name).join(", ")})\n  → ${text.trim()}`);
  console.log(
    `  ${promptTokens} prompt tokens, ${cachedTokens} of them cached, ${finish.timings.promptMs.toFixed(0)} ms`,
  );
}
await engine.close();

async function notes() {
  const made = await mkdtemp(join(tmpdir(), "ternion-notes-"));
  for (const [name, text] of [
    ["library.md", "The library opens at nine on working days and at ten on Sunday. It is closed on Monday."],
    ["museum.md", "A ticket of the museum costs eight euros. Children pay nothing. The museum opens every day."],
    ["pool.txt", "The pool has water of 26 degrees. Swimming lessons begin in March."],
  ]) {
    await writeFile(join(made, name), text);
  }
  return made;
}
