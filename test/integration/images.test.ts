/**
 * The images that the engine really writes, of every program: what was decoded is encoded to the same bytes, and what was
 * damaged is refused or read, never anything else.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ImageError,
  Schema,
  decodeImage,
  describeImages,
  dropFilter,
  encodeImage,
  imageKind,
  listImages,
  loadEngine,
  moveAddress,
  readPagemap,
  writePagemap,
} from '../../src/criu/index.ts';
import type { Fields, Image } from '../../src/criu/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { stagesOf } from '../support/belongings.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { PROGRAMS } from '../support/programs/index.ts';
import { damaged } from '../unit/criu-image-arbitrary.ts';

const DAMAGES = 200;

let lab: Lab;
let schema: Schema;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  schema = Schema.load(loadEngine().descriptors);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** Where images may be: in the data directory, and until they are there, in memory. */
const places = (): string[] => [lab.dataDirectory, ...stagesOf(lab)];

/** The directories with the images of a dump. */
const dumps = (): string[] =>
  places().flatMap((place) =>
    readdirSync(place, { recursive: true, encoding: 'utf8' })
      .filter((path) => basename(path) === 'inventory.img')
      .map((path) => dirname(join(place, path))),
  );

/** The directory of the images that an application sleeps in. */
const imagesOf = async (app: Application): Promise<string> => {
  const known = dumps();
  await app.sleep();
  const [found] = dumps().filter((path) => !known.includes(path));
  if (found === undefined) throw new Error(`${app.name} sleeps without images`);
  return found;
};

/** What becomes of an image that is read and written. */
const rewritten = (name: string, bytes: Buffer): Buffer[] => {
  const general = encodeImage(schema, decodeImage(schema, name, bytes));
  return name.startsWith('pagemap-') ? [general, writePagemap(readPagemap(name, bytes))] : [general];
};

/** The same bytes where they are still an image, nothing where they are refused. */
const attempt = (name: string, bytes: Buffer): Buffer => {
  try {
    return encodeImage(schema, decodeImage(schema, name, bytes));
  } catch (error) {
    if (error instanceof ImageError && error.message.startsWith(`${name} `)) return bytes;
    throw error;
  }
};

/** A copy of decoded images, of which one becomes another dump. */
const copyOf = (images: readonly Image[]): Image[] =>
  images.map((image) => decodeImage(schema, image.name, encodeImage(schema, image)));

const named = (images: readonly Image[], name: string): Image => {
  const found = images.find((image) => image.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};

/** What the dump says, against what is known of the program. */
const expectDescribed = (images: readonly Image[], address: string, port: number): void => {
  const { processes, sockets } = describeImages(images);
  expect(processes.length).toBeGreaterThan(1);
  for (const { threads, mappings, descriptors } of processes) {
    expect(threads).toBeGreaterThan(0);
    expect(mappings.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['file', 'anonymous', 'stack']));
    expect(mappings.filter(({ kind }) => kind === 'other')).toEqual([]);
    expect(descriptors.filter(({ what }) => what === 'unknown')).toEqual([]);
  }
  expect(sockets).toContainEqual(
    expect.objectContaining({ local: expect.stringMatching(`:${port}$`) as string, state: 'listening' }),
  );
  expect(sockets).toContainEqual(
    expect.objectContaining({ local: `${address}:${port}`, state: 'established' }),
  );
};

const ELSEWHERE = '10.99.3.7';

const expectMoved = (images: readonly Image[], address: string): void => {
  const there = copyOf(images);
  const before = JSON.stringify(describeImages(there).sockets);
  expect(moveAddress(named(there, 'files.img'), address, ELSEWHERE)).toBeGreaterThan(0);
  const after = JSON.stringify(describeImages(copyOf(there)).sockets);
  expect(after).toBe(before.replaceAll(`"${address}:`, `"${ELSEWHERE}:`));
};

/** The filter that all processes of an application have goes from all of them; those that a program has itself stay. */
const expectUnfiltered = (images: readonly Image[]): void => {
  const free = copyOf(images);
  const filters = (): Fields[] =>
    named(free, 'seccomp.img').entries.flatMap(({ message }) => message['seccompFilters'] as Fields[]);
  const ours = filters()[0]?.['filter'] as Uint8Array;
  const others = filters().filter(({ filter }) => Buffer.compare(filter as Uint8Array, ours) !== 0);
  const cores = free.filter(({ name }) => name.startsWith('core-'));
  const removed = filters().length - others.length;
  expect(dropFilter(named(free, 'seccomp.img'), cores, ours)).toBe(removed);
  expect(filters()).toHaveLength(others.length);
  const used = cores.map((core) => core.entries[0]?.message['threadCore'] as Fields);
  const filtered = used.filter(({ seccompMode }) => seccompMode === 2);
  for (const { seccompFilter } of filtered) expect(seccompFilter).toBeLessThan(others.length);
  expect(filtered.length > 0).toBe(others.length > 0);
  copyOf(free);
};

test.each(PROGRAMS)('the images of $name are read and written', async (program) => {
  const app = await launch(lab, program.name, program.launch);
  const at = { lab, address: app.address };
  await program.ready(at);
  const work = await program.begin(at);
  const idle = await program.openIdle(at);
  const directory = await imagesOf(app);
  const names = await listImages(directory);
  expect(names).toEqual(expect.arrayContaining(['inventory.img', 'pstree.img', 'files.img', 'seccomp.img']));
  const raw = readdirSync(directory).filter((name) => name.endsWith('.img') && imageKind(name) === undefined);
  expect(raw.filter((name) => !name.startsWith('pages-'))).toEqual([]);
  const images = names.map((name) => ({ name, bytes: readFileSync(join(directory, name)) }));
  const changed = images.filter(({ name, bytes }) =>
    rewritten(name, bytes).some((written) => !written.equals(bytes)),
  );
  expect(changed.map(({ name }) => name)).toEqual([]);
  const decoded = images.map(({ name, bytes }) => decodeImage(schema, name, bytes));
  expectDescribed(decoded, app.address, program.port);
  expectMoved(decoded, app.address);
  expectUnfiltered(decoded);
  fc.assert(
    fc.property(fc.nat({ max: images.length - 1 }), fc.gen(), (index, gen) => {
      const { name, bytes } = images[index] ?? { name: '', bytes: Buffer.alloc(0) };
      const broken = damaged(gen, bytes);
      expect(attempt(name, broken).equals(broken)).toBe(true);
    }),
    { numRuns: DAMAGES },
  );
  // To close a connection takes an answer, which would wake it while it is removed.
  await app.wake();
  await work.close();
  await idle.close();
  await app.remove();
});
