/** What a status other than 200 means, and what to do about it. */
import { printable, type TernionError } from "../errors.js";
import { type Address, failure, hubEndpoint } from "./address.js";
import type { Reply } from "./http.js";

/** Milliseconds that a download waits at most because the server asks for it. */
export const LONGEST_WAIT_ASKED = 5 * 60_000;

/** The header as milliseconds from now: seconds, or a date. */
export function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header.trim())) return 1000 * Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** The error of a reply that another try does not change, or not within `wait` milliseconds. */
export function refusal(
  address: Address,
  reply: Reply,
  { expected, wait }: { readonly expected: number; readonly wait?: number },
): TernionError {
  const status = `${reply.status} ${printable(reply.statusText)}`.trimEnd();
  const later = wait === undefined ? undefined : `The server wants to be asked again in ${Math.ceil(wait / 1000)} s`;
  return failure(address, `expected status ${expected}, got ${status}`, later ?? adviceFor(address, reply));
}

function adviceFor({ source }: Address, { status, authorized }: Reply): string {
  const hub = source.origin === hubEndpoint().origin;
  switch (status) {
    case 401:
    case 403:
      return hub ? gatedAdvice(authorized) : loginAdvice(authorized);
    case 404:
    case 410:
      return "Check the URL: there is no such file (repository, branch and name count, upper and lower case too)";
    case 407:
      return "The proxy wants a name and password: set HTTPS_PROXY to http://NAME:PASSWORD@HOST:PORT";
    default:
      return "Check the URL";
  }
}

/** Hugging Face says 401 for models that do not exist, too: it does not tell which ones it hides. */
function gatedAdvice(authorized: boolean): string {
  const token = authorized
    ? "the token that was sent (HF_TOKEN, or the file of `hf auth login`) may not read it"
    : "set HF_TOKEN to a token of an account that may read it (https://huggingface.co/settings/tokens)";
  return `The model is gated or private, or does not exist: accept its terms on its page, then try again; ${token}`;
}

function loginAdvice(authorized: boolean): string {
  return authorized
    ? "The server does not take the user and password of the URL: check them"
    : "The server wants a login: give it as https://USER:PASSWORD@HOST/..., or download the file by hand";
}
