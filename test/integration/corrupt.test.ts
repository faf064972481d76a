/** A snapshot that is not what was saved is never started from: the error names the file, and once that is mended it wakes. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import type { Idle, Work } from '../support/programs/program.ts';
import { redis } from '../support/programs/redis.ts';

let lab: Lab;
let baseline: Inventory;
let app: Application;
let work: Work;
let idle: Idle;
/** The directory of the snapshot that it sleeps in. */
let snapshot: string;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  baseline = await settledInventory(lab);
  app = await launch(lab, 'redis', redis.launch);
  const at = { lab, address: app.address };
  await redis.ready(at);
  work = await redis.begin(at);
  idle = await redis.openIdle(at);
});

beforeEach(async () => {
  const { snapshot: id } = await app.sleep();
  snapshot = join(lab.dataDirectory, 'snapshots', id);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const expectRefused = async (file: string, reason: RegExp): Promise<void> => {
  const error = failureOf(await lab.appshot('wake', '--json', app.aid));
  expect(error).toMatchObject({ code: 'SNAPSHOT_CORRUPT', details: { file } });
  expect(error.details?.['reason']).toMatch(reason);
  expect(error.message).toContain(file);
  const { state, failure } = await app.inspect();
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

test('one altered byte in any file', async () => {
  // Somewhere else in each file: its first byte, its last, or one between.
  for (const [index, name] of images().entries()) {
    const path = join(snapshot, name);
    const whole = readFileSync(path);
    if (whole.length === 0) continue;
    const at =
      [0, whole.length - 1, Math.floor(whole.length / 2), (index * 7919) % whole.length][index % 4] ?? 0;
    const altered = Buffer.from(whole);
    altered.writeUInt8(altered.readUInt8(at) ^ 0x40, at);
    writeFileSync(path, altered);
    await expectRefused(name, /checksum/);
    putBack(name, whole);
  }
  await expectNothingLeft(lab, baseline);
  await expectWhole();
});

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
