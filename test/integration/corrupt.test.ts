/** A snapshot that is not what was saved is never started from: the error names the file, and once that is mended it wakes. */
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ErrorBody } from '../../src/common/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import type { Idle, Work } from '../support/programs/program.ts';
import { redis } from '../support/programs/redis.ts';
import { seededRandom } from '../support/random.ts';

/** Places where a byte is altered: in what a wake reads, in several snapshots; and in the contents of files. */
const WAKES = { rounds: 4, places: 40 };
const CONTENTS = 40;

const random = seededRandom('places of damage');

let lab: Lab;
let client: Client;
let baseline: Inventory;
let app: Application;
/** Sleeps meanwhile, and is none the worse for it. */
let other: Application;
let work: Work;
let idle: Idle;
/** The first snapshot, and paths of all objects that it needs. */
let first: string;
let objects: string[];
/** The directory of the snapshot that it sleeps in. */
let snapshot: string;

const filesIn = (directory: string): string[] =>
  readdirSync(join(lab.dataDirectory, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  client = new Client(lab.runDirectory);
  baseline = await settledInventory(lab);
  app = await launch(lab, 'redis', redis.launch);
  const at = { lab, address: app.address };
  await redis.ready(at);
  work = await redis.begin(at);
  idle = await redis.openIdle(at);
  const write = 'seq 30000 > /root/large; for n in 1 2 3 4 5; do echo $n > /root/file$n; done';
  await lab.succeed('exec', app.aid, '--', 'sh', '-c', write);
  ({ snapshot: first } = await app.sleep());
  await client.pin(first, true);
  await app.kept();
  objects = filesIn('objects');
  await app.wake();
  other = await launch(lab, 'other', redis.launch);
  await redis.ready({ lab, address: other.address });
  await other.sleep();
  await other.kept();
});

beforeEach(async () => {
  const { snapshot: id } = await app.sleep();
  await app.kept();
  snapshot = join(lab.dataDirectory, 'snapshots', id);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** What a request was refused with; it must not succeed. */
const refusalOf = async (request: Promise<unknown>): Promise<ErrorBody> =>
  request.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: ErrorBody) => error,
  );

const expectRefused = async (file: string, reason: RegExp): Promise<void> => {
  const error = await refusalOf(client.wake(app.aid));
  expect(error).toMatchObject({ code: 'SNAPSHOT_CORRUPT', details: { file } });
  expect(error.details?.['reason']).toMatch(reason);
  expect(error.message).toContain(file);
  const { state, failure } = await client.inspect(app.aid);
  expect(state).toBe('asleep');
  expect(failure).toMatchObject({ step: 'verify', code: 'SNAPSHOT_CORRUPT' });
};

const expectWhole = async (): Promise<void> => {
  await app.wake();
  await work.goOn();
  await idle.check();
};

const images = (): string[] =>
  readdirSync(join(snapshot, 'images'))
    .toSorted()
    .map((name) => `images/${name}`);

/** Leaves the files' owners, modes and times as a program that writes in place does. */
const putBack = (name: string, bytes: Buffer): void => writeFileSync(join(snapshot, name), bytes);

/** Changes one byte where it is; gives back how to undo that. */
const alterByte = (path: string, position: number): (() => void) => {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, position);
  const original = Buffer.from(byte);
  byte.writeUInt8(byte.readUInt8() ^ (1 + random.integer(255)));
  writeSync(file, byte, 0, 1, position);
  return () => {
    writeSync(file, original, 0, 1, position);
    closeSync(file);
  };
};

/** Files in turn, so that each has its share, and anywhere in each. */
const placesIn = (paths: readonly string[], count: number): { path: string; position: number }[] => {
  const filled = paths.filter((path) => statSync(path).size > 0);
  const from = random.integer(filled.length);
  return Array.from({ length: count }, (_, index) => {
    const path = filled[(from + index) % filled.length] ?? '';
    return { path, position: random.integer(statSync(path).size) };
  });
};

/** The layers that the snapshot maps. */
const layers = (): string[] => {
  const manifest = JSON.parse(readFileSync(join(snapshot, 'manifest.json'), 'utf8')) as {
    memory: { layers: { digest: string }[] };
  };
  return manifest.memory.layers.map(({ digest }) => join(lab.dataDirectory, 'layers', digest));
};

const nameOf = (path: string): string =>
  path.startsWith(snapshot) ? path.slice(snapshot.length + 1) : `layers/${basename(path)}`;

test.each(Array.from({ length: WAKES.rounds }, (_, round) => round + 1))(
  `one altered byte, at ${WAKES.places} places of what a wake reads, round %d`,
  async () => {
    const memory = layers();
    expect(memory).not.toEqual([]);
    // The manifest and the memory are few files among many.
    const files = [...images().map((name) => join(snapshot, name)), join(snapshot, 'manifest.json')];
    const places = [...placesIn(files, WAKES.places - 8), ...placesIn(memory, 8)];
    for (const { path, position } of places) {
      const mend = alterByte(path, position);
      await expectRefused(nameOf(path), /checksum/);
      mend();
    }
    await expectNothingLeft(lab, baseline);
    expect(await other.state()).toBe('asleep');
    await expectWhole();
  },
);

test('a file that is cut off, empty, longer or missing', async () => {
  const name = images().find((one) => one.includes('pages-')) ?? '';
  const path = join(snapshot, name);
  const whole = readFileSync(path);
  for (const bytes of [whole.subarray(0, -1), whole.subarray(0, 4096), Buffer.alloc(0)]) {
    writeFileSync(path, bytes);
    await expectRefused(name, new RegExp(`it has ${bytes.length} bytes instead of ${whole.length}`));
  }
  putBack(name, whole);
  appendFileSync(path, '\0');
  await expectRefused(name, /bytes instead of/);
  rmSync(path);
  await expectRefused(name, /missing/);
  putBack(name, whole);
  await expectWhole();
});

test('a directory in the place of a file', async () => {
  const [name = ''] = images();
  const whole = readFileSync(join(snapshot, name));
  rmSync(join(snapshot, name));
  mkdirSync(join(snapshot, name));
  await expectRefused(name, /missing/);
  rmSync(join(snapshot, name), { recursive: true });
  putBack(name, whole);
  await expectWhole();
});

test('a file that nobody saved', async () => {
  const name = 'images/core-4711.img';
  writeFileSync(join(snapshot, name), 'x');
  await expectRefused(name, /does not belong/);
  rmSync(join(snapshot, name));
  await expectWhole();
});

test('a manifest that is altered, cut off, no JSON, far too large or missing', async () => {
  const path = join(snapshot, 'manifest.json');
  const whole = readFileSync(path);
  const altered = Buffer.from(whole.toString().replace('"root": ', '"root": 1'));
  for (const bytes of [altered, whole.subarray(0, -1), Buffer.from('{'), Buffer.alloc(0)]) {
    writeFileSync(path, bytes);
    await expectRefused('manifest.json', /checksum/);
  }
  writeFileSync(path, Buffer.alloc(40 << 20));
  await expectRefused('manifest.json', /too large/);
  rmSync(path);
  await expectRefused('manifest.json', /missing/);
  putBack('manifest.json', whole);
  await expectWhole();
});

test.each([
  ['missing', (path: string) => rmSync(path)],
  ['no JSON', (path: string) => writeFileSync(path, '{')],
  ['of another shape', (path: string) => writeFileSync(path, '[1]')],
  ['empty', (path: string) => writeFileSync(path, '{}')],
  ['cut off', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 10))],
])('a seal that is %s costs time and nothing else', async (_what, spoil) => {
  const path = join(snapshot, 'seal.json');
  spoil(path);
  await expectWhole();
});

test('a seal does not vouch for a file that was altered and given its times back', async () => {
  const name = images().find((one) => one.includes('pages-')) ?? '';
  const path = join(snapshot, name);
  const whole = readFileSync(path);
  const { atime, mtime } = statSync(path);
  const altered = Buffer.from(whole);
  altered.writeUInt8(altered.readUInt8(100) ^ 1, 100);
  writeFileSync(path, altered);
  utimesSync(path, atime, mtime);
  await expectRefused(name, /checksum/);
  putBack(name, whole);
  await expectWhole();
});

test('a packet does not wake what is damaged, and wakes it once it is mended', async () => {
  const [name = ''] = images();
  const whole = readFileSync(join(snapshot, name));
  rmSync(join(snapshot, name));
  await expectRefused(name, /missing/);
  putBack(name, whole);
  await work.goOn();
  await idle.check();
});

test(`one altered byte, at ${CONTENTS} places of the contents of files, is noticed before anything goes back`, async () => {
  const before = await client.inspect(app.aid);
  for (const { path, position } of placesIn(objects, CONTENTS)) {
    const mend = alterByte(path, position);
    const error = await refusalOf(client.rewind(app.aid, { snapshot: first }));
    expect(error).toMatchObject({ code: 'SNAPSHOT_CORRUPT', details: { snapshot: first } });
    expect(error.message).toContain(`the checksum of the object ${basename(path)} does not match`);
    expect(await client.inspect(app.aid)).toMatchObject({ state: 'asleep', snapshot: before.snapshot });
    mend();
  }
  await expectWhole();
});

test('one altered byte of the contents of files keeps a new application from beginning there, and nothing is left of it', async () => {
  for (const { path, position } of placesIn(objects, 4)) {
    const mend = alterByte(path, position);
    const error = await refusalOf(client.fork(app.aid, { snapshot: first, name: 'twin' }));
    expect(error).toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    mend();
  }
  expect(await client.apps()).toHaveLength(2);
  await expectNothingLeft(lab, baseline);
  await expectWhole();
});

test('after all that the first snapshot is there, memory and files, and the other application wakes', async () => {
  await client.rewind(app.aid, { snapshot: first });
  await app.wake();
  await redis.ready({ lab, address: app.address });
  const { stdout } = await lab.succeed('exec', app.aid, '--', 'tail', '-n1', '/root/large', '/root/file5');
  expect(stdout.match(/^\d+$/gm)).toEqual(['30000', '5']);
  await redis.ready({ lab, address: other.address });
  expect(await other.state()).toBe('running');
});
