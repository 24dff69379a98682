/**
 * Debian's Chromium for the tests of pages. Needs the package `chromium`, or its path in TERNION_CHROMIUM;
 * TERNION_REQUIRE_BROWSER=1 makes its absence a failure.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";

const PATH = process.env.TERNION_CHROMIUM ?? "/usr/bin/chromium";
const absent = existsSync(PATH) ? false : `${PATH} is not there: apt-get install chromium`;

/** The reason to skip a test for, or false. */
export const withoutChromium = process.env.TERNION_REQUIRE_BROWSER === "1" ? false : absent;

/** milliseconds: a browser starts slowly where every processor is busy */
export const BROWSER_PATIENCE = 180_000;

type Options = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;

/** A browser with a profile of its own, which goes with it. */
export async function openChromium(
  options: Options = {},
): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const profile = await mkdtemp(join(tmpdir(), "ternion-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: PATH,
    headless: true,
    timeout: BROWSER_PATIENCE,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    ...options,
  });
  context.setDefaultTimeout(BROWSER_PATIENCE);
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
