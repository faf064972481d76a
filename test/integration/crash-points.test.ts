/**
 * The daemon is killed at random points of taking a snapshot, folding it, sweeping and importing, and the disk is full during the same:
 * afterwards no snapshot that history called durable is lost, memory and files of each are there, and nothing is left over.
 */
import { copyFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { fixture, getJson } from '../support/programs/program.ts';
import { seededRandom } from '../support/random.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import type { SmallDisk } from '../support/small-disk.ts';
import { expectNothingOrphaned } from '../support/stored.ts';

const MIB = 1 << 20;
/** Less than even the delta of a woken application takes, in bytes. */
const TOO_LITTLE = 256 << 10;
/** More than all that is kept here. */
const DISK = 900 * MIB;
const PORT = 8080;
const MEGABYTES = 8;
/** How long after it was taken a snapshot is durable, about, and how long sweeping takes. In ms. */
const FOLDED_WITHIN = 1500;
const SWEPT_WITHIN = 60;
/** What is left for a dump, so that it may begin. */
const FOLD_ROOM = 150 * MIB;
/** Of the snapshots at the end: from how many the application is woken, besides going back to all of them. */
const WOKEN = 4;

const random = seededRandom('points of failure');

let lab: Lab;
let disk: SmallDisk;
let daemon: DaemonProcess;
let client: Client;
let app: Application;
let count = 0;
/** What the application had counted, by snapshot; and the snapshots that history has called durable, and nobody has removed. */
const counted = new Map<string, number>();
const durable = new Set<string>();
/** An exported application that is nowhere else, and how long an import of it takes, in ms. */
let bundle: string;
let importMs: number;

const startDaemon = async (fault?: string): Promise<void> => {
  daemon = await lab.daemon({
    args: ['--pool', '1', '--history-keep', '1000'],
    environment: fault === undefined ? {} : { APPSHOT_FAULT: fault },
  });
};

const runCounter = async (name: string): Promise<Application> => {
  const command = [process.execPath, fixture('counter.js'), String(PORT), String(MEGABYTES)];
  const started = await launch(lab, name, { command });
  await eventually(() => getJson({ lab, address: started.address }, PORT, '/state'));
  return started;
};

const countOf = async ({ address }: Pick<Application, 'address'>): Promise<number> =>
  (await getJson<{ count: number }>({ lab, address }, PORT, '/state')).count;

/** Files that tell what was counted: the one in a directory of its own, the other among many. */
const writeFiles = async ({ aid }: Application, text: string): Promise<void> => {
  const script = `echo ${text} > /root/counted; mkdir -p /root/many; for n in $(seq 20); do echo $n ${text} > /root/many/$n; done`;
  await lab.succeed('exec', aid, '--', 'sh', '-c', script);
};
const readFiles = async ({ aid }: Pick<Application, 'aid'>): Promise<string[]> => {
  const { stdout } = await lab.succeed('exec', aid, '--', 'sh', '-c', 'cat /root/counted /root/many/20');
  return stdout.trim().split('\n');
};

/** The application counts on, in memory and in files. */
const goOn = async (): Promise<void> => {
  const { count: now } = await getJson<{ count: number }>({ lab, address: app.address }, PORT, '/count');
  count += 1;
  expect(now).toBe(count);
  await writeFiles(app, String(count));
};

/** What history calls durable is kept in mind; what it did before must still be there. */
const learn = async (): Promise<void> => {
  const entries = await client.history(app.aid);
  const now = entries.filter((entry) => entry.durable).map(({ snapshot }) => snapshot);
  expect(now).toEqual(expect.arrayContaining([...durable]));
  for (const id of now) {
    durable.add(id);
    if (!counted.has(id)) counted.set(id, count);
  }
};

const timed = async (action: () => Promise<unknown>): Promise<number> => {
  const begun = performance.now();
  await action();
  return performance.now() - begun;
};

beforeAll(async () => {
  lab = await createLab();
  disk = await mountSmallDisk(lab.dataDirectory, DISK);
  await startDaemon();
  client = new Client(lab.runDirectory);
  const donor = await runCounter('donor');
  await writeFiles(donor, 'donor');
  await donor.sleep();
  bundle = join(lab.directory, 'bundle');
  await client.export(donor.aid, { file: bundle });
  await donor.remove();
  await client.gc();
  importMs = await timed(() => client.import({ file: bundle, name: 'measured', force: false }));
  await lab.succeed('rm', '--force', 'measured');
  await client.gc();
  app = await runCounter('survivor');
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** Kills the daemon within `ms` of now, and starts the next one. */
const killWithin = async (ms: number): Promise<void> => {
  await delay(random.integer(ms));
  await daemon.kill();
  await startDaemon();
};

/** All is as it was: the application at the same count, every durable snapshot, nothing else. */
const expectSound = async (): Promise<void> => {
  await learn();
  expect(await countOf(app)).toBe(count);
  await app.sleep();
  await expectNothingOrphaned(lab, client);
  await learn();
};

/** The daemon may be gone before it answers. */
const unlessKilled = async (request: Promise<unknown>): Promise<void> => {
  await request.catch((error: { code?: string }) => expect(error.code).toBe('DAEMON_LOST'));
};

/** What was imported is there, whole, or not at all. */
const expectWholeOrNothing = async (): Promise<void> => {
  const found = (await client.apps()).find(({ name }) => name === 'copy');
  if (!found) return;
  expect(await countOf(found)).toBe(0);
  expect(await readFiles(found)).toEqual(['donor', '20 donor']);
  await lab.succeed('rm', '--force', 'copy');
};

const importCopy = (file = bundle): Promise<unknown> => client.import({ file, name: 'copy', force: false });

const rounds = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

test.each(['save.post-dump', 'record.after'])('killed at the step %s of taking a snapshot', async (point) => {
  await goOn();
  await daemon.stop();
  await startDaemon(`snapshot.${point}=kill`);
  await expect(client.takeSnapshot(app.aid)).rejects.toMatchObject({ code: 'DAEMON_LOST' });
  await startDaemon();
  await expectSound();
});

test.each(rounds(2))('killed while a snapshot is taken, and folded, %d', async () => {
  await goOn();
  const taken = unlessKilled(client.takeSnapshot(app.aid));
  await killWithin(FOLDED_WITHIN);
  await taken;
  await expectSound();
});

test.each(rounds(3))('killed while a sleeper is folded, %d', async () => {
  await goOn();
  await app.sleep();
  await killWithin(FOLDED_WITHIN);
  await expectSound();
});

test.each(rounds(2))('killed while snapshots are removed and swept, %d', async () => {
  await goOn();
  const old = [...durable].slice(0, -1);
  const removed = [random.pick(old), random.pick(old)];
  for (const id of removed) durable.delete(id);
  await app.sleep();
  const removing = removed.map((id) => client.removeSnapshot(id).catch(() => undefined));
  const swept = unlessKilled(client.gc());
  await killWithin(SWEPT_WITHIN);
  await Promise.all([swept, ...removing]);
  await expectSound();
});

test.each(rounds(2))('killed during an import, %d', async () => {
  await goOn();
  const imported = unlessKilled(importCopy());
  await killWithin(importMs * 1.2);
  await imported;
  await expectWholeOrNothing();
  await expectSound();
});

test('an import of a file that is cut off', async () => {
  await goOn();
  const cut = join(lab.directory, 'cut');
  copyFileSync(bundle, cut);
  truncateSync(cut, random.integer(statSync(bundle).size));
  await expect(importCopy(cut)).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
  expect(await client.apps()).toHaveLength(1);
  await expectSound();
});

test('no room for a snapshot', async () => {
  await goOn();
  disk.fill(random.integer(TOO_LITTLE));
  await expect(client.takeSnapshot(app.aid)).rejects.toMatchObject({ code: 'NO_SPACE' });
  disk.makeRoom();
  await expectSound();
});

test('no room for what is folded', async () => {
  await goOn();
  disk.fill(FOLD_ROOM);
  await app.sleep();
  // It goes on filling while the fold begins.
  disk.fill(random.integer(MIB));
  const taken = await app.history();
  await daemon.kill();
  disk.makeRoom();
  await startDaemon();
  expect(await app.history()).toHaveLength(taken.length);
  await expectSound();
});

test('no room for an import', async () => {
  await goOn();
  disk.fill(random.integer(statSync(bundle).size));
  await expect(importCopy()).rejects.toMatchObject({ code: 'NO_SPACE' });
  disk.makeRoom();
  expect(await client.apps()).toHaveLength(1);
  await expectSound();
});

test('the application can go back to every snapshot that was ever durable', async () => {
  const all = [...durable];
  const woken = new Set(rounds(WOKEN).map(() => random.pick(all)));
  for (const id of all) {
    await client.rewind(app.aid, { snapshot: id });
    if (!woken.has(id)) continue;
    await client.wake(app.aid);
    expect(await countOf(app)).toBe(counted.get(id));
    const text = String(counted.get(id));
    expect(await readFiles(app)).toEqual([text, `20 ${text}`]);
    await app.sleep();
  }
});
