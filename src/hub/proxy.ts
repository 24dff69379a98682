/**
 * The proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case. Node.js
 * itself heeds them from version 24 on, and only where NODE_USE_ENV_PROXY is set.
 */
import type { Agent } from "node:http";
import { getProxyForUrl } from "proxy-from-env";
import { TernionError } from "../errors.js";

/** What connects to `url` by way of its proxy; undefined where it has none. `signal` ends the connection. */
export async function proxyAgent(url: URL, signal: AbortSignal): Promise<Agent | undefined> {
  const proxy = getProxyForUrl(url.href);
  if (proxy === "") return undefined;
  // not shown: it may hold a password
  if (!URL.canParse(proxy) || !/^https?:$/.test(new URL(proxy).protocol)) {
    throw new TernionError(
      "MODEL_DOWNLOAD",
      `the proxy for ${url.protocol}//${url.host}: expected http://HOST:PORT in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, ` +
        "got something else. Correct it, or name the host in NO_PROXY.",
    );
  }
  // loaded only here: few need them, and a bundle of them may not even start
  if (url.protocol === "https:") {
    return new (await import("https-proxy-agent")).HttpsProxyAgent(proxy, { signal }); // handed on to net.connect
  }
  return new (await import("http-proxy-agent")).HttpProxyAgent(proxy);
}
