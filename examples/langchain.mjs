/**
 * LangChain on a local server, through its OpenAI package: a chain of a prompt, the model and a parser, streamed.
 *
 *   npm install ternion @langchain/openai @langchain/core
 *   node langchain.mjs [MODEL]
 */
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { ChatOpenAI } from "@langchain/openai";
import { startServer } from "ternion/server";

const server = await startServer({ models: [{ name: "local", model: process.argv[2] }], port: 0 });
const model = new ChatOpenAI({
  model: "local",
  temperature: 0,
  apiKey: "none",
  configuration: { baseURL: `${server.url}/v1` },
});

const chain = ChatPromptTemplate.fromTemplate("What is the capital of {country}?")
  .pipe(model)
  .pipe(new StringOutputParser());
for await (const text of await chain.stream({ country: "France" })) process.stdout.write(text);
console.log();

// many at once: they share the passes through the model
const answers = await chain.batch([{ country: "Italy" }, { country: "Japan" }, { country: "Spain" }]);
console.log(answers.join("\n"));
await server.close();
