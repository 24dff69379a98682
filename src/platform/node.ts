/** Node.js, Bun and Deno as a platform. */
import type { Platform } from "./platform.js";
import { TemplateProcess } from "./template-process.js";
import { nextTurn } from "./turn.js";

export const node: Platform = { nextTurn, templateRunner: () => new TemplateProcess() };
