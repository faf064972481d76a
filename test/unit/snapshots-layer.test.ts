/** Memory layers: their packed form, and what is no layer. */
import { ftruncateSync, openSync, closeSync, readFileSync, statSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  LayerWriter,
  PAGE,
  WINDOW,
  layerDigest,
  packLayer,
  unpackLayer,
} from '../../src/snapshots/memory/layer.ts';
import { sha256 } from './snapshots-place.ts';

const makeDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-layer-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

/** Pages by their number; those between are zeros. */
type Pages = readonly (readonly [page: number, byte: number])[];

const PAGES_IN_WINDOW = WINDOW / PAGE;
const SIZE = 3 * WINDOW;

/** Contents of a layer three windows long, often around the borders of windows, some of the pages all zeros. */
const somePages: fc.Arbitrary<Pages> = fc.array(
  fc.tuple(
    fc.oneof(
      fc.integer({ min: 0, max: SIZE / PAGE - 1 }),
      fc.integer({ min: PAGES_IN_WINDOW - 3, max: PAGES_IN_WINDOW + 3 }),
    ),
    fc.integer({ min: 0, max: 3 }),
  ),
  { maxLength: 12 },
);

const contentsOf = (pages: Pages): Buffer => {
  const bytes = Buffer.alloc(SIZE);
  for (const [page, byte] of pages) bytes.fill(byte, page * PAGE, page * PAGE + PAGE);
  return bytes;
};

const write = (path: string, bytes: Buffer): ReturnType<LayerWriter['end']> => {
  const writer = new LayerWriter(path, bytes.length);
  for (let at = 0; at < bytes.length; at += WINDOW) writer.write(at, bytes.subarray(at, at + WINDOW));
  return writer.end();
};

const inPieces = async function* (bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
};

let made = 0;

describe('the packed form', () => {
  it('makes the same layer again, in pieces of any size', async () => {
    const directory = await makeDirectory();
    await fc.assert(
      fc.asyncProperty(somePages, fc.integer({ min: 1, max: 100_000 }), async (pages, size) => {
        const [first, second] = [join(directory, `${++made}`), join(directory, `${++made}`)];
        const entry = write(first, contentsOf(pages));
        const packed = await buffer(packLayer(first));
        expect(packed.length).toBe(entry.packed);
        expect(sha256(packed)).toBe(entry.digest);
        expect(await unpackLayer(second, inPieces(packed, size))).toEqual(entry);
        expect(readFileSync(second).equals(contentsOf(pages))).toBe(true);
        expect(await layerDigest(second)).toBe(entry.digest);
      }),
      { numRuns: 40 },
    );
  });

  it('is that of docs/snapshot-format.md', async () => {
    const path = join(await makeDirectory(), 'layer');
    const bytes = contentsOf([
      [1, 1],
      [2, 2],
      [PAGES_IN_WINDOW - 1, 3],
      [PAGES_IN_WINDOW, 1],
    ]);
    const entry = write(path, bytes);
    const number = (value: number): Buffer => {
      const eight = Buffer.alloc(8);
      eight.writeBigUInt64LE(BigInt(value));
      return eight;
    };
    const run = (from: number, to: number): Buffer =>
      Buffer.concat([
        number(from * PAGE),
        number((to - from) * PAGE),
        bytes.subarray(from * PAGE, to * PAGE),
      ]);
    const expected = Buffer.concat([
      Buffer.from('ASLAYER1'),
      number(SIZE),
      run(1, 3),
      run(PAGES_IN_WINDOW - 1, PAGES_IN_WINDOW),
      run(PAGES_IN_WINDOW, PAGES_IN_WINDOW + 1),
    ]);
    expect((await buffer(packLayer(path))).equals(expected)).toBe(true);
    expect(entry).toEqual({
      digest: sha256(expected),
      size: SIZE,
      bytes: 4 * PAGE,
      packed: expected.length,
      beside: 0,
    });
  });

  it('of nothing is a layer too', async () => {
    const directory = await makeDirectory();
    const entry = write(join(directory, 'empty'), Buffer.alloc(0));
    expect(entry).toMatchObject({ size: 0, bytes: 0, packed: 16 });
    expect(await layerDigest(join(directory, 'empty'))).toBe(entry.digest);
  });
});

describe('the digest', () => {
  it('depends on the contents alone, not on where the file has holes', async () => {
    const directory = await makeDirectory();
    await fc.assert(
      fc.asyncProperty(
        somePages,
        fc.array(fc.integer({ min: 0, max: SIZE / PAGE - 1 })),
        async (pages, blanks) => {
          const [sparse, written] = [join(directory, `${++made}`), join(directory, `${++made}`)];
          const bytes = contentsOf(pages);
          const { digest } = write(sparse, bytes);
          const file = openSync(written, 'wx');
          ftruncateSync(file, SIZE);
          for (const page of new Set([...pages.map(([one]) => one), ...blanks]))
            writeSync(file, bytes, page * PAGE, PAGE, page * PAGE);
          closeSync(file);
          expect(await layerDigest(written)).toBe(digest);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('changes with any byte', async () => {
    const directory = await makeDirectory();
    const bytes = contentsOf([
      [0, 1],
      [300, 2],
    ]);
    const { digest } = write(join(directory, 'whole'), bytes);
    for (const position of [0, PAGE - 1, PAGE, 300 * PAGE + 5, SIZE - 1]) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(position) ^ 1, position);
      expect(write(join(directory, `${position}`), altered).digest).not.toBe(digest);
    }
  });

  it('is of a file that takes no more room than its pages', async () => {
    const path = join(await makeDirectory(), 'layer');
    write(path, contentsOf([[700, 1]]));
    expect(statSync(path).size).toBe(SIZE);
    expect(statSync(path).blocks * 512).toBeLessThan(WINDOW);
  });
});

describe('bytes that are no layer are refused', () => {
  const numbers = (...values: bigint[]): Buffer => {
    const bytes = Buffer.alloc(values.length * 8);
    values.forEach((value, index) => bytes.writeBigUInt64LE(value, index * 8));
    return bytes;
  };
  const mark = Buffer.from('ASLAYER1');
  const begin = (size: bigint): Buffer => Buffer.concat([mark, numbers(size)]);
  const run = (offset: bigint, length: bigint, bytes = Number(length)): Buffer =>
    Buffer.concat([numbers(offset, length), Buffer.alloc(bytes, 7)]);
  const small = begin(BigInt(4 * PAGE));
  const page = BigInt(PAGE);
  const window = BigInt(WINDOW);

  it.each<[string, Buffer[], RegExp]>([
    ['nothing', [], /begin/],
    ['half a mark', [mark], /early/],
    ['another mark', [Buffer.from('ASLAYER2'), numbers(page)], /begin/],
    ['a length that is not whole pages', [begin(page + 1n)], /length/],
    ['a length beyond all files', [begin(2n ** 60n)], /length/],
    ['the largest length of all', [begin(2n ** 64n - page)], /length/],
    ['half a head of a run', [small, numbers(0n)], /early/],
    ['a run that is cut off', [small, run(0n, page, PAGE - 1)], /early/],
    ['a run without its bytes', [small, run(0n, page, 0)], /early/],
    ['an empty run', [small, run(0n, 0n)], /place/],
    ['half a page', [small, run(0n, page / 2n)], /place/],
    ['a run between pages', [small, run(1n, page)], /place/],
    ['a run behind the end', [small, run(4n * page, page)], /place/],
    ['a run over the end', [small, run(3n * page, 2n * page)], /place/],
    ['a run of no end', [small, run(0n, 2n ** 63n, 0)], /place/],
    ['a run before the last', [small, run(2n * page, page), run(0n, page)], /place/],
    ['a run twice', [small, run(2n * page, page), run(2n * page, page)], /place/],
    ['one run in two', [small, run(0n, page), run(page, page)], /place/],
    ['a run over two windows', [begin(2n * window), run(window - page, 2n * page)], /place/],
    ['a run longer than a window', [begin(2n * window), run(0n, window + page)], /place/],
  ])('%s', async (_, pieces, reason) => {
    const path = join(await makeDirectory(), 'layer');
    const bytes = Buffer.concat(pieces);
    await expect(unpackLayer(path, inPieces(bytes, 1000))).rejects.toThrow(reason);
    await expect(unpackLayer(`${path}2`, inPieces(bytes, bytes.length + 1))).rejects.toThrow(reason);
  });

  it('whatever happens to a layer on its way', async () => {
    const directory = await makeDirectory();
    const path = join(directory, 'whole');
    const { digest } = write(
      path,
      contentsOf([
        [1, 1],
        [2, 2],
        [255, 3],
        [256, 1],
      ]),
    );
    const packed = await buffer(packLayer(path));
    const damage = fc.oneof(
      fc.record({ cut: fc.integer({ min: 0, max: packed.length - 1 }) }),
      fc.record({
        at: fc.integer({ min: 0, max: packed.length - 1 }),
        flip: fc.integer({ min: 1, max: 255 }),
      }),
      // Numbers are where most can go wrong.
      fc.record({ at: fc.integer({ min: 0, max: 31 }), flip: fc.integer({ min: 1, max: 255 }) }),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const bytes = Buffer.from('cut' in how ? packed.subarray(0, how.cut) : packed);
        if ('at' in how) bytes.writeUInt8(bytes.readUInt8(how.at) ^ how.flip, how.at);
        const outcome = await unpackLayer(join(directory, `${++made}`), inPieces(bytes, 5000)).then(
          (entry) => entry.digest,
          (error: Error) => error.constructor.name,
        );
        expect(outcome).not.toBe(digest);
        expect(outcome).toMatch(/^([0-9a-f]{64}|LayerError)$/);
      }),
      { numRuns: 150 },
    );
  });
});
