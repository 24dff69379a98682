/** The Hugging Face token of this user, found where Hugging Face's own tools look for it. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { TernionError } from "../errors.js";

export async function hubToken(): Promise<string | undefined> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN: off = "" } = process.env;
  if (/^(1|on|yes|true)$/i.test(off)) return undefined;
  const named = HF_TOKEN || HUGGING_FACE_HUB_TOKEN;
  const token = (named || (await readFile(tokenFile(), "utf8").catch(() => ""))).trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const origin = named ? "HF_TOKEN" : tokenFile();
  throw new TernionError("MODEL_DOWNLOAD", `${origin}: expected one token, as hf_..., got other text. Correct it.`);
}

function tokenFile(): string {
  const { HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  return HF_TOKEN_PATH || join(home, "token");
}
