/** A snapshot as one file: what goes in comes out, and nothing that was changed, cut or made by others does. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportBundle, importBundle } from '../../src/transport/index.ts';
import type {
  BundleSource,
  ExportOptions,
  Progress,
  ReceiveOptions,
  Secret,
} from '../../src/transport/index.ts';
import { MemorySink, sourceOf } from '../support/bundles.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const secret: Secret = { kind: 'key', material: randomBytes(32) };

const bundleOf = async (source: BundleSource, options: ExportOptions = {}): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  await exportBundle(source, target, options);
  return Buffer.concat(chunks);
};

async function* inChunks(bytes: Buffer, size = 16_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const expectRefused = async (bytes: Buffer, code: RegExp, options: ReceiveOptions = {}): Promise<void> => {
  const sink = new MemorySink();
  const refused = importBundle(inChunks(bytes), sink, options, 'it.asb');
  await expect(refused).rejects.toMatchObject({
    name: 'AppShotError',
    code: expect.stringMatching(code) as string,
    message: expect.stringMatching(/^[^\n]*it\.asb[^\n]*$/) as string,
  });
  expect(sink.commits).toEqual([]);
};

const sample = sourceOf('{"id":"sample"}', [
  randomBytes(3000),
  Buffer.alloc(300_000, 'text'),
  randomBytes(600_000),
  Buffer.alloc(0),
]);

describe('a bundle', () => {
  test('gives back what went in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 8 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 5000 }),
        async (manifest, contents, signed, encrypted, chunk) => {
          const source = sourceOf(
            manifest,
            contents.map((content) => Buffer.from(content)),
          );
          const key = encrypted ? secret : undefined;
          const bytes = await bundleOf(source, { sign: signed ? privateKey : undefined, secret: key });
          const sink = new MemorySink();
          const options = { secret: key, verify: signed ? publicKey : undefined };
          const received = await importBundle(inChunks(bytes, chunk), sink, options);
          expect(received).toMatchObject({ signed, objects: source.objects.length });
          expect(sink.commits).toEqual([source.manifest.toString('utf8')]);
          expect([...sink.objects.keys()].toSorted()).toEqual(
            source.objects.map(({ digest }) => digest).toSorted(),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test('is the same for the same snapshot, in whichever order its objects are', async () => {
    const turned = { ...sample, objects: sample.objects.toReversed() };
    expect((await bundleOf(turned)).equals(await bundleOf(sample))).toBe(true);
  });

  test('is not kept twice: objects that the sink has are skipped', async () => {
    const sink = new MemorySink();
    const large = sample.objects[2]?.digest as string;
    sink.objects.set(large, Buffer.from('as it was'));
    await importBundle(inChunks(await bundleOf(sample)), sink);
    expect(sink.objects.get(large)?.toString()).toBe('as it was');
    expect(sink.commits).toHaveLength(1);
  });

  test('tells how far it is, to the last byte', async () => {
    const told: Progress[] = [];
    const onProgress = (progress: Progress): void => void told.push(progress);
    const bytes = await bundleOf(sample, { onProgress });
    expect(told.at(-1)).toMatchObject({ done: 903_000, total: 903_000 });
    told.length = 0;
    await importBundle(inChunks(bytes), new MemorySink(), { onProgress });
    expect(told.at(-1)).toMatchObject({ done: 903_000, total: 903_000 });
  });

  test('ends when that is asked for, with nothing committed', async () => {
    const bytes = await bundleOf(sample);
    const stop = new AbortController();
    const sink = new MemorySink();
    const onProgress = (): void => stop.abort(new Error('enough'));
    const ended = importBundle(inChunks(bytes), sink, { onProgress, signal: stop.signal });
    await expect(ended).rejects.toThrow('enough');
    expect(sink.commits).toEqual([]);
  });

  test('is refused by its manifest before an object is taken', async () => {
    const sink = new MemorySink();
    const accept = async (manifest: Buffer): Promise<void> => {
      throw new Error(`not here: ${manifest.toString('utf8')}`);
    };
    const refused = importBundle(inChunks(await bundleOf(sample)), sink, { accept });
    await expect(refused).rejects.toThrow('not here: {"id":"sample"}');
    expect(sink.objects.size).toBe(0);
  });

  test('of contents that are not what they are said to be is not made', async () => {
    const lying = { ...sample, open: () => sample.open(sample.objects[0]?.digest as string) };
    await expect(bundleOf(lying)).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
  });
});

describe.each([
  ['a plain bundle', { sign: privateKey }, { verify: publicKey }],
  ['an encrypted bundle', { sign: privateKey, secret }, { verify: publicKey, secret }],
])('%s', (_what, making: ExportOptions, taking: ReceiveOptions) => {
  let bytes: Buffer;
  beforeAll(async () => {
    bytes = await bundleOf(sample, making);
  });

  test('is refused when any byte was changed: the first 100 and 200 others', async () => {
    const positions = Array.from({ length: 200 }, (_, index) => Math.floor((index * bytes.length) / 200));
    const first = Array.from({ length: 100 }, (_, index) => index);
    for (const position of new Set([...first, ...positions, bytes.length - 1])) {
      const changed = Buffer.from(bytes);
      changed[position] = (changed[position] as number) ^ (1 << (position % 8));
      await expectRefused(changed, /^BUNDLE_/, taking);
    }
  }, 60_000);

  test('is refused when it was cut off, anywhere', async () => {
    const lengths = [
      0,
      1,
      15,
      16,
      40,
      70,
      ...Array.from({ length: 60 }, (_, i) => Math.floor((i * bytes.length) / 60)),
    ];
    for (const length of [...lengths, bytes.length - 33, bytes.length - 32, bytes.length - 1])
      await expectRefused(bytes.subarray(0, length), length < 16 ? /FOREIGN/ : /CORRUPT/, taking);
  }, 60_000);

  test('is refused when something follows it', async () => {
    await expectRefused(Buffer.concat([bytes, Buffer.from('x')]), /CORRUPT/, taking);
    await expectRefused(Buffer.concat([bytes, bytes]), /CORRUPT/, taking);
  });
});

describe('what is no bundle, or not the expected one', () => {
  test('a file of another kind, and one of a later version', async () => {
    await expectRefused(randomBytes(5000), /FOREIGN/);
    const later = await bundleOf(sample);
    later.writeUInt32LE(2, 8);
    await expectRefused(later, /FOREIGN/);
  });

  test('without a signature, or by another key, when one is asked for', async () => {
    const other = generateKeyPairSync('ed25519');
    await expectRefused(await bundleOf(sample), /UNSIGNED/, { verify: publicKey });
    const bytes = await bundleOf(sample, { sign: other.privateKey });
    await expectRefused(bytes, /SIGNATURE/, { verify: publicKey });
  });

  test('encrypted with another key, without a key, or not at all although a key is given', async () => {
    const bytes = await bundleOf(sample, { secret });
    await expectRefused(bytes, /KEY/, { secret: { kind: 'key', material: randomBytes(32) } });
    await expectRefused(bytes, /KEY/, { secret: { kind: 'passphrase', text: 'open' } });
    await expectRefused(bytes, /KEY/);
    await expectRefused(await bundleOf(sample), /KEY/, { secret });
  });
});

describe('a bundle in a file', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-bundle-'));
  });
  afterAll(async () => rm(directory, { recursive: true }));

  test('is there whole, for its owner only', async () => {
    const path = join(directory, 'whole.asb');
    const { bytes } = await exportBundle(sample, path);
    expect(await stat(path)).toMatchObject({ size: bytes, mode: 0o100600 });
    const sink = new MemorySink();
    await importBundle(path, sink);
    expect(sink.commits).toHaveLength(1);
    await rm(path);
  });

  test('is not there at all when making it fails, and the old one is as it was', async () => {
    const path = join(directory, 'old.asb');
    await writeFile(path, 'old');
    const failing = {
      ...sample,
      async *open(digest: string) {
        yield* sample.open(digest);
        throw new Error('the disk is gone');
      },
    };
    await expect(exportBundle(failing, path)).rejects.toThrow('the disk is gone');
    expect(await readdir(directory)).toEqual(['old.asb']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('is named when it cannot be read or made', async () => {
    const unusable = { code: 'BUNDLE_FILE' };
    await expect(importBundle(join(directory, 'none.asb'), new MemorySink())).rejects.toMatchObject(unusable);
    await expect(importBundle(directory, new MemorySink())).rejects.toMatchObject(unusable);
    await expect(exportBundle(sample, join(directory, 'none/x.asb'))).rejects.toMatchObject(unusable);
  });

  test('of any size takes little memory, either way', async () => {
    const [size, limit] = [200 << 20, 64 << 20];
    const block = randomBytes(1 << 20);
    const content = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < size; at += block.length) yield block;
    };
    const hash = createHash('sha256');
    for await (const piece of content()) hash.update(piece);
    const object = { digest: hash.digest('hex'), size, kind: 'layer' as const };
    const path = join(directory, 'large.asb');
    let largest = 0;
    const before = process.memoryUsage().arrayBuffers;
    const held = (): number => process.memoryUsage().arrayBuffers - before;
    const onProgress = (): void => {
      // What nobody holds any more waits for the collector, which comes when it likes.
      if (held() >= limit) collect();
      largest = Math.max(largest, held());
    };
    await exportBundle({ manifest: Buffer.from('{}'), objects: [object], open: content }, path, {
      onProgress,
      secret,
    });
    const sink = new MemorySink();
    sink.put = async (_object, stream) => {
      for await (const chunk of stream) expect(chunk.length).toBeLessThanOrEqual(1 << 20);
    };
    await importBundle(path, sink, { onProgress, secret });
    expect(largest).toBeLessThan(limit);
  });
});
