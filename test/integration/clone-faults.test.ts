/**
 * Something fails while a clone is born: its wake fails at every step, the engine is killed, the daemon is killed. There is a clone
 * afterwards, or nothing of one; the template is as it was, and the next clone comes up.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { AppView } from '../../src/api/index.ts';
import { applicationOf } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { loopsOf } from '../support/belongings.ts';
import {
  endLab,
  makeClone,
  makeTemplate,
  removeAll,
  removeTemplate,
  templatesOf,
} from '../support/clones.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { askLedger, expectCount, launchLedger } from '../support/ledger.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { seededRandom } from '../support/random.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { expectNothingOrphaned } from '../support/stored.ts';

/** The smallest: a daemon is started anew for each fault. */
const POOL = ['--pool', '1'];
const TEMPLATE = 'warm';
const MIB = 1 << 20;

let lab: Lab;
let daemon: DaemonProcess;
let baseline: Inventory;

const directories = (): string[] => readdirSync(join(lab.dataDirectory, 'apps')).toSorted();

const apps = async (): Promise<AppView[]> => (await lab.succeed('ps', '--all', '--json')).json();

const restart = async (environment: Record<string, string> = {}): Promise<void> => {
  await daemon.stop();
  daemon = await lab.daemon({ args: POOL, environment });
};

/** A clone comes up, has what its template had, and goes. */
const expectCloneable = async (template = TEMPLATE): Promise<void> => {
  const one = await makeClone(lab, template);
  await askLedger(lab, one, '/add');
  await expectCount(lab, one, 3);
  await one.remove();
};

const expectNobody = async (): Promise<void> => {
  expect(await apps()).toEqual([]);
  expect(directories()).toEqual([]);
  expect(await templatesOf(lab)).toEqual([expect.objectContaining({ name: TEMPLATE, clones: 0 })]);
};

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon({ args: POOL });
  const source = await launchLedger(lab, 'source');
  for (let at = 0; at < 2; at += 1) await askLedger(lab, source, '/add');
  await makeTemplate(lab, TEMPLATE, source);
  await source.remove();
  // Its files are mounted with the first clone.
  await expectCloneable();
  baseline = await settledInventory(lab);
});

afterAll(async () => {
  await removeTemplate(lab, TEMPLATE);
  await endLab(lab);
});

const FAILURES = [
  { at: 'wake.root.after', action: 'fail' },
  { at: 'wake.restore.during', action: 'fail' },
  { at: 'wake.restore.after', action: 'fail' },
  { at: 'wake.connect.after', action: 'fail' },
  // Where an engine waits, and where one restores.
  { at: 'wake.root.after', action: 'engine' },
  { at: 'wake.restore.during', action: 'engine' },
];
const KILLS = ['root.after', 'restore.during', 'restore.after', 'connect.after'].map((at) => `wake.${at}`);

const expectWhole = async (): Promise<void> => {
  await expectNobody();
  await expectCloneable();
  await expectNobody();
  await expectNothingLeft(lab, baseline);
};

test.each(FAILURES)('$action at $at: the command fails, and nothing is left', async ({ at, action }) => {
  await restart({ APPSHOT_FAULT: `${at}=${action}` });
  // It happens to one of them; others have come up, or are about to.
  const error = failureOf(await lab.appshot('clone', TEMPLATE, '--count', '3', '--json'));
  expect(error.code).toBe('WAKE_FAILED');
  expect(error.message).toContain(action === 'fail' ? at : 'CRIU failed');
  await expectWhole();
});

/** Every clone that there is has all it should have. */
const expectComplete = async (views: readonly AppView[]): Promise<void> => {
  const client = new Client(lab.runDirectory);
  for (const view of views) {
    const one = applicationOf(lab, view);
    // Packets are ignored for a moment after a wake that failed; a command is not.
    if (view.state === 'asleep') await client.wake(one.aid);
    await askLedger(lab, one, '/add');
    expect(await expectCount(lab, one, 3)).toMatchObject({ hostname: one.name });
    await client.sleep(one.aid);
    await expectCount(lab, one, 3);
  }
};

test.each(KILLS)('kill at %s: every clone is complete afterwards, or is not', async (at) => {
  await restart({ APPSHOT_FAULT: `${at}=kill` });
  expect(failureOf(await lab.appshot('clone', TEMPLATE, '--count', '3', '--json')).code).toBe('DAEMON_LOST');
  expect(await daemon.exited).toMatchObject({ signal: 'SIGKILL' });
  daemon = await lab.daemon({ args: POOL });
  const left = await apps();
  await expectComplete(left);
  await removeAll(lab, left);
  await expectWhole();
});

/** How often the daemon is killed at a moment that is chosen by chance. */
const TURNS = Number(process.env['APPSHOT_TEST_TURNS'] ?? 1);
const OF_CLONES = { asleep: false, offline: false };

/** Without the start of a command, which would take most of the time. */
const ACTIONS: readonly { readonly name: string; begin(client: Client): Promise<unknown> }[] = [
  { name: 'cloning', begin: (client) => client.clone(TEMPLATE, { ...OF_CLONES, count: 4 }) },
  {
    name: 'cloning offline',
    begin: (client) => client.clone(TEMPLATE, { ...OF_CLONES, count: 2, offline: true }),
  },
  {
    name: 'making a template',
    begin: (client) => client.createTemplate({ name: 'another', from: 'mother' }),
  },
  { name: 'removing a template', begin: (client) => client.removeTemplate('another') },
];

describe('killed at any moment', () => {
  const random = seededRandom('moments of clones');
  let mother: Application;

  beforeAll(async () => {
    await restart();
    mother = await makeClone(lab, TEMPLATE, '--name', 'mother');
  });
  afterAll(() => mother.remove());

  /** Everything that there is is whole, and is removed; of nothing else there is any part. */
  const expectAllOrNothing = async (): Promise<void> => {
    const left = (await apps()).filter(({ aid }) => aid !== mother.aid);
    await expectComplete(left);
    await removeAll(lab, left);
    for (const { name } of await templatesOf(lab)) {
      await expectCloneable(name);
      if (name !== TEMPLATE) await removeTemplate(lab, name);
    }
    await mother.sleep();
    await expectNothingOrphaned(lab, new Client(lab.runDirectory));
    await mother.wake();
  };

  test.each(ACTIONS)('of $name, there is all of it or nothing', async ({ name, begin }) => {
    const client = new Client(lab.runDirectory);
    const prepare = async (): Promise<void> => {
      if (name === 'removing a template') await makeTemplate(lab, 'another', mother);
    };
    await prepare();
    const begun = performance.now();
    await begin(client);
    const took = performance.now() - begun;
    await expectAllOrNothing();
    for (let turn = 0; turn < TURNS; turn += 1) {
      await prepare();
      const ended = begin(client).catch(() => undefined);
      await delay(random.integer(Math.ceil(took)));
      await daemon.kill();
      await ended;
      daemon = await lab.daemon({ args: POOL });
      await expectAllOrNothing();
    }
  });
});

test('killed while a hook runs: the clone is born again, and its hooks run, before anybody reaches it', async () => {
  await restart();
  const told = join(lab.directory, 'told');
  mkdirSync(told);
  const rules = join(lab.directory, 'hooked.rules');
  const once = 'echo begun >>/told/log; test -e /told/go || sleep 100; echo done >>/told/log';
  writeFileSync(rules, `ON CLONE RUN "sh -c '${once}'" WITHIN 110s\n`);
  const source = await launchLedger(lab, 'hooked', ['--volume', `${told}:/told`]);
  await makeTemplate(lab, 'hooked', source, '--rules', rules);
  const log = (): string[] => readFileSync(join(told, 'log'), 'utf8').trim().split('\n');
  const ended = new Client(lab.runDirectory).clone('hooked', { count: 1 }).catch(() => undefined);
  await eventually(() => expect(log()).toEqual(['begun']));
  await daemon.kill();
  await ended;
  writeFileSync(join(told, 'go'), '');
  daemon = await lab.daemon({ args: POOL });
  const [view] = (await apps()).filter(({ name }) => name === 'hooked-1');
  expect(view).toMatchObject({ state: 'asleep' });
  const clone = applicationOf(lab, view as AppView);
  await askLedger(lab, clone, '/state');
  expect(log()).toEqual(['begun', 'begun', 'done']);
  await removeAll(lab, [clone, source]);
  await removeTemplate(lab, 'hooked');
  await expectNobody();
});

test('no room: no template is made, no clone, and what there is goes on', async () => {
  const small = await createLab();
  onTestFinished(() => endLab(small));
  const disk = await mountSmallDisk(small.dataDirectory, 400 * MIB);
  await small.daemon({ args: POOL });
  const empty = await settledInventory(small);
  const app = await launchLedger(small, 'crowded');
  await askLedger(small, app, '/add');
  // More than is left for the template's files, in some of the turns.
  await small.succeed('exec', app.name, '--', 'sh', '-c', 'head -c 12M /dev/urandom > /var/lib/large');
  const code = async (...words: string[]): Promise<string> =>
    failureOf(await small.appshot(...words, '--json')).code;
  await app.sleep();
  await app.kept();
  for (const left of [10 * MIB, 64 << 10, 0]) {
    disk.fill(left);
    expect(await code('template', 'create', 'warm', '--from', 'crowded'), `${left} left`).toBe('NO_SPACE');
    disk.makeRoom();
    expect(await templatesOf(small)).toEqual([]);
    expect(readdirSync(join(small.dataDirectory, 'templates'))).toEqual([]);
    // The small disk itself.
    expect(loopsOf(small)).toHaveLength(1);
  }
  await askLedger(small, app, '/state');
  disk.fill(8 * MIB);
  expect(await code('template', 'create', 'warm', '--from', 'crowded')).toBe('NO_SPACE');
  disk.makeRoom();
  await askLedger(small, app, '/state');
  await makeTemplate(small, 'warm', app);
  // What is swept away meanwhile would be room.
  await app.kept();
  await small.succeed('gc');
  disk.fill(0);
  // For some of them there is room still: what a disk keeps for itself.
  for (const options of [[], ['--offline']])
    // An engine that has no room for its log cannot say why it ends.
    expect(['NO_SPACE', 'WAKE_FAILED']).toContain(await code('clone', 'warm', '--count', '60', ...options));
  disk.makeRoom();
  // The registry may not have had room to say that they are gone.
  await eventually(() => expect(readdirSync(join(small.dataDirectory, 'apps'))).toEqual([app.aid]));
  const one = await makeClone(small, 'warm');
  await expectCount(small, one, 1);
  await expectCount(small, app, 1);
  await removeAll(small, [one, app]);
  await removeTemplate(small, 'warm');
  await expectNothingOrphaned(small, new Client(small.runDirectory));
  await expectNothingLeft(small, empty);
});
