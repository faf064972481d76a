import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageError, readImage, writeImage } from '../../src/criu/images/frames.ts';

const COMMON_MAGIC = 0x54564319;
const SERVICE_MAGIC = 0x55105940;
const INVENTORY_MAGIC = 0x58313116;
const LARGEST = 1 << 20;

const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32LE(value, index * 4));
  return bytes;
};

const number32 = fc.integer({ min: 0, max: 0xffffffff });
const magics = fc.oneof(
  number32.filter((value) => value !== COMMON_MAGIC && value !== SERVICE_MAGIC).map((value) => [value]),
  fc.tuple(fc.constantFrom(COMMON_MAGIC, SERVICE_MAGIC), number32),
);
const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
const image = fc.record({ magics, messages }).map((file) => writeImage(file));

/** Undefined for what is no image; anything else than an ImageError is thrown. */
const attempt = (bytes: Buffer): ReturnType<typeof readImage> | undefined => {
  try {
    return readImage(bytes);
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
};

describe('an image file', () => {
  it('is its magic numbers, then messages behind their lengths, little-endian', () => {
    const bytes = Buffer.concat([u32(COMMON_MAGIC, INVENTORY_MAGIC, 3), Buffer.from('abc'), u32(0)]);
    const { magics: read, messages: found } = readImage(bytes);
    expect(read).toEqual([COMMON_MAGIC, INVENTORY_MAGIC]);
    expect(found.map((message) => Buffer.from(message).toString())).toEqual(['abc', '']);
    expect(writeImage({ magics: read, messages: found })).toEqual(bytes);
  });

  it('of an old version has one magic number', () => {
    expect(readImage(u32(INVENTORY_MAGIC))).toEqual({ magics: [INVENTORY_MAGIC], messages: [] });
  });

  it('reads back as it was written', () => {
    fc.assert(
      fc.property(magics, messages, (written, contents) => {
        const read = readImage(writeImage({ magics: written, messages: contents }));
        expect(read.magics).toEqual(written);
        expect(read.messages.map((message) => new Uint8Array(message))).toEqual(contents);
      }),
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'it is shorter than its magic number'],
    ['half a magic number', Buffer.alloc(3), 'it is shorter than its magic number'],
    ['one magic number of two', u32(SERVICE_MAGIC), 'it ends within its magic numbers'],
    ['half a length', Buffer.concat([u32(7), Buffer.alloc(2)]), 'it ends within a length, at byte 4'],
    ['half a message', Buffer.concat([u32(7, 4), Buffer.alloc(3)]), 'it ends within a message, at byte 4'],
    ['a huge length', u32(7, 0xffffffff), 'a message of 4294967295 bytes at byte 4 is too large'],
  ])('is refused when it holds %s', (_, bytes, reason) => {
    expect(() => readImage(bytes)).toThrow(new ImageError(reason));
  });

  it('may hold a message of 1 MiB, and none that is larger', () => {
    const withLength = (length: number): Buffer => Buffer.concat([u32(7, length), Buffer.alloc(length)]);
    expect(readImage(withLength(LARGEST)).messages[0]).toHaveLength(LARGEST);
    expect(() => readImage(withLength(LARGEST + 1))).toThrow('is too large');
  });
});

describe('bytes that may be an image', () => {
  it('are refused as such, or come back unchanged', () => {
    const mutated = fc
      .tuple(image, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 6 }))
      .map(([bytes, changes]) => {
        for (const [at, change] of changes) bytes[at % bytes.length]! ^= change;
        return bytes;
      });
    const anything = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(mutated, anything), (bytes) => {
        const read = attempt(bytes);
        expect(read ? writeImage(read) : bytes).toEqual(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('are, cut off anywhere, refused or the beginning of the whole', () => {
    fc.assert(
      fc.property(image, fc.nat(), (bytes, cut) => {
        const whole = readImage(bytes);
        const part = attempt(bytes.subarray(0, cut % bytes.length));
        if (!part) return;
        expect(part.magics).toEqual(whole.magics);
        expect(part.messages).toEqual(whole.messages.slice(0, part.messages.length));
      }),
      { numRuns: 500 },
    );
  });
});
