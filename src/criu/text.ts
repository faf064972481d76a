/**
 * Text in CRIU's messages that is no UTF-8: a path is any bytes, and the kernel cuts a process's name within a character.
 *
 * Each byte that is no part of valid UTF-8 becomes the lone surrogate U+DC00 plus that byte and back, as Python's
 * `surrogateescape` does it, so that any text is written as it was read.
 */
import { isUtf8 } from 'node:buffer';
import { configureTextEncoding } from '@bufbuild/protobuf/wire';

const ESCAPES = 0xdc00;

const valid = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** How many bytes the character has that begins with this one, if it is valid. */
const lengthOf = (first: number): number => {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
};

const decodeEscaped = (bytes: Uint8Array): string => {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at] ?? 0;
    const character = bytes.subarray(at, at + lengthOf(first));
    const whole = isUtf8(character);
    parts.push(whole ? valid.decode(character) : String.fromCharCode(ESCAPES + first));
    at += whole ? character.length : 1;
  }
  return parts.join('');
};

const decode = (bytes: Uint8Array): string => (isUtf8(bytes) ? valid.decode(bytes) : decodeEscaped(bytes));

/** Lone surrogates that stand for no byte become U+FFFD, as everywhere. */
const encode = (text: string): Uint8Array<ArrayBuffer> => {
  if (text.isWellFormed()) return encoder.encode(text);
  const parts = Array.from(text, (character) => {
    const byte = character.length === 1 ? character.charCodeAt(0) - ESCAPES : 0;
    return byte >= 0x80 && byte <= 0xff ? Buffer.of(byte) : encoder.encode(character);
  });
  return Buffer.concat(parts);
};

/** Makes all messages of this process so. */
export const keepBytesOfText = (): void =>
  configureTextEncoding({ encodeUtf8: encode, decodeUtf8: decode, checkUtf8: (text) => text.isWellFormed() });
