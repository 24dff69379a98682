/**
 * The main thread's side of loading: the device's thread reads by itself what it can (files), and asks for any other bytes,
 * a chunk at a time.
 */
import type { ByteSource, LoadOptions, WeightSource } from "../backend.js";
import type { Channel } from "./channel.js";
import type { LoadRequest } from "./protocol.js";

/** An abort ends it early and without an error. */
export async function loadWeights(
  channel: Channel,
  sources: readonly WeightSource[],
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const parts = [...new Set(sources.map(({ bytes }) => bytes))];
  let failure: { readonly error: unknown } | undefined;
  channel.onProgress = (loaded) => onProgress?.(Math.min(loaded, total), total);
  channel.onRead = async ({ part, offset, length }) => {
    const bytes = new Uint8Array(length);
    try {
      await parts[part].read(offset, bytes);
      return bytes;
    } catch (error) {
      failure = { error };
      return undefined;
    }
  };
  const abort = () => channel.abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await channel.ask("load", requestOf(parts, sources));
  } catch (error) {
    throw failure === undefined ? error : failure.error; // as the source has said it
  } finally {
    channel.onProgress = channel.onRead = undefined;
    signal?.removeEventListener("abort", abort);
  }
}

function requestOf(parts: readonly ByteSource[], sources: readonly WeightSource[]): LoadRequest {
  return {
    parts: parts.map(({ name, size, shared }) => ({ name, size, shared })),
    sources: sources.map(({ bytes, ...source }) => ({ ...source, part: parts.indexOf(bytes) })),
  };
}
