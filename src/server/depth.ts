/**
 * How deep a body may be nested: functions that go down a value by calling themselves, as JSON.stringify and checks of
 * schemas do, come to the end of the stack at some depth.
 */
import type { FastifyInstance } from "fastify";
import { ApiError } from "./errors.js";

/** A JSON schema takes two levels for each of its own. */
const MOST_LEVELS = 256;

export function limitDepth(app: FastifyInstance): void {
  app.addHook("preValidation", async ({ body }) => {
    if (isWithin(body, MOST_LEVELS)) return;
    throw new ApiError(400, `body: expected at most ${MOST_LEVELS} levels of nesting, got more`, { code: "too_deep" });
  });
}

function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((each) => isWithin(each, levels - 1));
}
