/** Server-sent events from a response's bytes: the data of each, in order; comments and other fields are passed over. */

/** Yields what has come together, so that a fast server does not cost a turn for each event. */
export async function* eventData(body: ReadableStream<Uint8Array>): AsyncGenerator<string[], void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const events = rest.split(/\r?\n\r?\n/);
      rest = events.pop() ?? "";
      const data = events.map(dataOf).filter((each) => each !== undefined);
      if (data.length > 0) yield data;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // a reader that is left early must not keep the connection
  }
}

function dataOf(event: string): string | undefined {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
}
