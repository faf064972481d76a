/** Pagemaps, which are read and written without a protobuf library: they must be those that one writes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ImageError,
  PAGES,
  decodeImage,
  encodeImage,
  readPagemap,
  writePagemap,
} from '../../src/criu/index.ts';
import type { PageRun, Pagemap } from '../../src/criu/index.ts';
import { damaged } from './criu-image-arbitrary.ts';
import { schemas } from './criu-schema.ts';

const NAME = 'pagemap-1000.img';
const MAGICS = [0x54564319, 0x56084025];
const PAGE = 4096;

const run: fc.Arbitrary<PageRun> = fc.record({
  vaddr: fc.nat({ max: 2 ** 47 / PAGE - 1 }).map((page) => page * PAGE),
  pages: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 32 - 1 })),
  flags: fc.constantFrom(PAGES.present, PAGES.present | PAGES.lazy, PAGES.parent),
});
const pagemap: fc.Arbitrary<Pagemap> = fc
  .record({
    pagesId: fc.nat({ max: 0xffffffff }),
    runs: fc.array(run, { maxLength: 20 }),
    narrow: fc.boolean(),
  })
  .map(({ runs, narrow, ...rest }) => ({ ...rest, runs, narrow: narrow && runs.length > 0 }));

/** Undefined for what is no pagemap; anything else than an ImageError is thrown. */
const attempt = (bytes: Buffer): Pagemap | undefined => {
  try {
    return readPagemap(NAME, bytes);
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
};

describe.each(schemas)('a pagemap, by %s,', (_, schema) => {
  it('is the one that the general codec writes and reads', () => {
    fc.assert(
      fc.property(pagemap, (map) => {
        const bytes = writePagemap(map);
        const entries = map.runs.map(({ vaddr, pages, flags }) => ({
          message: map.narrow
            ? { vaddr: BigInt(vaddr), compatNrPages: pages, flags }
            : { vaddr: BigInt(vaddr), compatNrPages: 0, flags, nrPages: BigInt(pages) },
        }));
        const image = {
          name: NAME,
          magics: MAGICS,
          entries: [{ message: { pagesId: map.pagesId } }, ...entries],
        };
        expect(bytes).toEqual(encodeImage(schema, image));
        expect(decodeImage(schema, NAME, bytes).entries).toMatchObject(image.entries);
        expect(readPagemap(NAME, bytes)).toEqual(map);
      }),
    );
  });

  it.each([
    [{}, PAGES.present],
    [{ inParent: false }, PAGES.present],
    [{ inParent: true }, PAGES.parent],
    [{ flags: 6 }, PAGES.present | PAGES.lazy],
  ])('of an old engine is understood as CRIU understands it: %o', (more, flags) => {
    const message = { vaddr: 4096n, compatNrPages: 7, ...more };
    const entries = [{ message: { pagesId: 3 } }, { message }];
    const bytes = encodeImage(schema, { name: NAME, magics: MAGICS, entries });
    expect(readPagemap(NAME, bytes)).toEqual({
      pagesId: 3,
      runs: [{ vaddr: 4096, pages: 7, flags }],
      narrow: true,
    });
  });
});

describe('a pagemap', () => {
  const whole = writePagemap({ pagesId: 1, runs: [{ vaddr: PAGE, pages: 2, flags: 4 }], narrow: false });
  const head = whole.subarray(0, 14);
  const entry = (hex: string): Buffer => {
    const message = Buffer.from(hex, 'hex');
    return Buffer.concat([head, Buffer.from([message.length, 0, 0, 0]), message]);
  };

  it.each([
    ['without a head', whole.subarray(0, 8), 'ends within a length, at byte 8'],
    ['cut off', whole.subarray(0, -1), 'ends within a message, at byte 18'],
    ['with a number that ends', entry('0880'), 'has an entry that ends within a number, at byte 14'],
    [
      'with a huge address',
      entry('08ffffffffffffffff7f'),
      'has an entry with too large a number, at byte 14',
    ],
    ['with an endless number', entry(`08${'80'.repeat(40)}00`), 'has an entry with too large a number'],
    ['with a huge run', entry('0800200028ffffffffffffff0f'), 'has an entry that reaches beyond any address'],
    ['with an unknown field', entry('08003001'), 'has an entry with an unknown field, at byte 14'],
    ['without an address', entry('1001'), 'has an entry without its first field, at byte 14'],
  ])('%s is refused', (_, bytes, reason) => {
    const read = (): Pagemap => readPagemap(NAME, bytes);
    expect(read).toThrow(ImageError);
    expect(read).toThrow(`${NAME} ${reason}`);
  });

  it('that is damaged is refused or read', () => {
    fc.assert(
      fc.property(pagemap, fc.gen(), (map, gen) => {
        const bytes = damaged(gen, writePagemap(map));
        const read = attempt(bytes);
        expect(read && readPagemap(NAME, writePagemap(read))).toEqual(read);
      }),
      { numRuns: 2000 },
    );
  });

  it('of a hundred thousand runs takes no time', () => {
    const runs = Array.from({ length: 100_000 }, (_, index) => ({
      vaddr: 0x7f0000000000 + index * 2 * PAGE,
      pages: 1,
      flags: PAGES.present,
    }));
    const began = performance.now();
    const read = readPagemap(NAME, writePagemap({ pagesId: 1, runs, narrow: false }));
    const took = performance.now() - began;
    expect(read.runs).toEqual(runs);
    // It is a tenth of this; what must not happen is that it grows with the square.
    expect(took).toBeLessThan(1000);
  });
});
