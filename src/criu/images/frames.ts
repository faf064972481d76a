/**
 * The frame of CRIU's image files: one or two magic numbers, then messages, each behind its length, some with raw bytes
 * behind them; all numbers are 32-bit little-endian. Source: CRIU's documentation of its image format.
 *
 * Everything read is a view of the file's bytes, so that no length that a file tells makes anything be allocated.
 */
import { ImageError } from './error.ts';

const COMMON_MAGIC = 0x54564319;
const SERVICE_MAGIC = 0x55105940;
export const NUMBER_BYTES = 4;

/** The magic numbers of an image of messages: two since image version 1.1, but one in the inventory. */
export const magicsOf = (magic: number, kind: 'alone' | 'common' | 'service' = 'common'): number[] => {
  if (kind === 'alone') return [magic];
  return [kind === 'common' ? COMMON_MAGIC : SERVICE_MAGIC, magic];
};

export class FrameReader {
  readonly file: string;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(file: string, bytes: Uint8Array) {
    this.file = file;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where the next thing begins, in bytes from the file's beginning. */
  get at(): number {
    return this.#at;
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  #number(what: string): number {
    return this.take(NUMBER_BYTES, what).readUInt32LE(0);
  }

  /** The next bytes. Throws `ImageError` when there are fewer. */
  take(length: number, what: string): Buffer {
    const left = this.#bytes.length - this.#at;
    if (!(length <= left))
      throw new ImageError(
        this.file,
        `ends within ${what}, at byte ${this.#at}: ${length} bytes were expected, ${left} are left`,
      );
    const found = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return found;
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at, 'the rest');
  }

  /** The magic numbers, of which the last must be `expected`. */
  magics(expected: number): number[] {
    const first = this.#number('its magic number');
    const both = first === COMMON_MAGIC || first === SERVICE_MAGIC;
    const found = both ? [first, this.#number('its magic numbers')] : [first];
    if (found.at(-1) !== expected)
      throw new ImageError(
        this.file,
        `has the magic number of something else, at byte ${this.#at - NUMBER_BYTES}`,
      );
    return found;
  }

  /** The next message's bytes. */
  message(): Buffer {
    return this.take(this.#number('a length'), 'a message');
  }
}

export const numberBytes = (value: number): Buffer => {
  const bytes = Buffer.alloc(NUMBER_BYTES);
  bytes.writeUInt32LE(value);
  return bytes;
};
