/**
 * GPT-2's printable alphabet: a byte-level vocabulary spells every byte as one character, so that tokens are strings
 * without blanks. Visible Latin-1 characters stand for themselves; the other 68 bytes are U+0100 onwards, in order.
 */

const encoder = new TextEncoder();

/** the character of each byte */
export const BYTE_CHARACTERS: readonly string[] = spellBytes();

/** byte of each character code, -1 where the code is no character of the alphabet */
const BYTE_OF_CODE = new Int16Array(0x144).fill(-1);
for (const [byte, character] of BYTE_CHARACTERS.entries()) BYTE_OF_CODE[character.charCodeAt(0)] = byte;

function spellBytes(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(visible ? byte : next++);
  });
}

/**
 * The bytes that `piece` spells. A piece with a character outside the alphabet was stored as text by its converter, and
 * gives its UTF-8.
 */
export function bytesOfPiece(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) {
    const byte = BYTE_OF_CODE[piece.charCodeAt(i)] ?? -1;
    if (byte < 0) return encoder.encode(piece);
    bytes[i] = byte;
  }
  return bytes;
}
