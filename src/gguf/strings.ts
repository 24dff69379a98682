/** UTF-8 of a GGUF file → strings. What is no UTF-8 becomes U+FFFD; a leading U+FEFF is text. */

const LOOSE = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

export const utf8 = (bytes: Uint8Array): string => LOOSE.decode(bytes);

/**
 * `count` strings, each a u64 length below 2^32 and its text. The plain loop would decode each; calling a decoder takes longer
 * than the few bytes of a token do, so all texts are decoded at once and cut where each has its number of UTF-16 units. That
 * is right where every text is sound UTF-8; where one is not, each is decoded.
 */
export function decodeStrings(bytes: Uint8Array<ArrayBuffer>, count: number): string[] {
  const { text, ends } = joinTexts(bytes, count);
  const all = ends && decoded(text);
  if (ends === undefined || all === undefined) return decodeEach(bytes, count);
  const strings = new Array<string>(count);
  for (let i = 0, start = 0; i < count; i++) {
    strings[i] = all.slice(start, ends[i]);
    start = ends[i];
  }
  return strings;
}

/** All texts without their lengths, and where each ends in UTF-16 units; no `ends` where a text begins within a character. */
function joinTexts(bytes: Uint8Array<ArrayBuffer>, count: number) {
  const view = viewOf(bytes);
  const text = new Uint8Array(bytes.byteLength - 8 * count);
  const ends = new Uint32Array(count);
  for (let i = 0, at = 0, to = 0, units = 0; i < count; i++) {
    const end = at + 8 + view.getUint32(at, true);
    at += 8;
    if (at < end && (bytes[at] & 0xc0) === 0x80) return { text };
    for (; at < end; at++) {
      const byte = bytes[at];
      text[to++] = byte;
      if ((byte & 0xc0) !== 0x80) units += byte < 0xf0 ? 1 : 2;
    }
    ends[i] = units;
  }
  return { text, ends };
}

function decoded(text: Uint8Array): string | undefined {
  try {
    return STRICT.decode(text);
  } catch {
    return undefined;
  }
}

function decodeEach(bytes: Uint8Array<ArrayBuffer>, count: number): string[] {
  const view = viewOf(bytes);
  let at = 0;
  return Array.from({ length: count }, () => {
    const start = at + 8;
    at = start + view.getUint32(at, true);
    return utf8(bytes.subarray(start, at));
  });
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);
