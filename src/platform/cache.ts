/** The folder that holds what is kept between runs: downloaded models, and which V8 flags have been proven. */
import { homedir } from "node:os";
import { join } from "node:path";

/** `$TERNION_CACHE`, else `$XDG_CACHE_HOME/ternion`, else `~/.cache/ternion`. Throws where a user has no home. */
export function cacheDirectory(): string {
  const { TERNION_CACHE, XDG_CACHE_HOME } = process.env;
  return TERNION_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "ternion");
}
