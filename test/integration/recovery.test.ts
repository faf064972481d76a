/** The daemon is killed at any instant: applications go on, sleeping ones stay wakeable, the next start finishes or undoes. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applicationOf, launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import type { AppView } from '../../src/api/index.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { APPSHOT, createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { chain } from '../support/programs/chain.ts';
import type { Idle, Work } from '../support/programs/program.ts';

let lab: Lab;
let daemon: DaemonProcess;
let baseline: Inventory;
let app: Application;
let work: Work;
let idle: Idle;

beforeEach(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
  baseline = await settledInventory(lab);
  app = await launch(lab, 'survivor', chain.launch);
  const at = { lab, address: app.address };
  await chain.ready(at);
  work = await chain.begin(at);
  idle = await chain.openIdle(at);
});

afterEach(async () => {
  await lab[Symbol.asyncDispose]();
});

/** A new daemon knows the application as it was, works with it, and leaves nothing of it when it is removed. */
const expectWhole = async (): Promise<void> => {
  const [view, ...others] = (await lab.succeed('ps', '--json')).json<AppView[]>();
  expect(others).toEqual([]);
  expect(view).toMatchObject({ aid: app.aid, name: app.name, address: app.address, hostname: app.hostname });
  const adopted = applicationOf(lab, view as AppView);
  expect(['running', 'asleep']).toContain(await adopted.state());
  await work.goOn();
  await idle.check();
  await adopted.sleep();
  await work.goOn();
  await idle.check();
  await work.close();
  await idle.close();
  await adopted.remove();
  await expectNothingLeft(lab, baseline);
};

/** Kills the daemon at the moment it tells of an event. */
const killAt = async (event: RegExp, verb: 'sleep' | 'wake'): Promise<void> => {
  const events = await lab.talk(APPSHOT, ['events', '--json', '--follow']);
  // What happened before comes first; the run is in it.
  await events.hear(/running/);
  const under = lab.appshot(verb, app.aid);
  await events.hear(event);
  await daemon.kill();
  expect((await under).code).not.toBe(0);
  await events.close();
};

test('killed while the application runs: it goes on without a daemon, and the next one adopts it', async () => {
  await daemon.kill();
  await work.goOn();
  await idle.check();
  await lab.daemon();
  expect(await app.state()).toBe('running');
  await expectWhole();
});

test('killed while the application sleeps: the next daemon wakes it by its first packet', async () => {
  await app.sleep();
  await daemon.kill();
  await lab.daemon();
  expect(await app.state()).toBe('asleep');
  await expectWhole();
});

test('ended by SIGTERM: applications are left as they are', async () => {
  await daemon.stop();
  await work.goOn();
  await idle.check();
  daemon = await lab.daemon();
  await app.sleep();
  await daemon.stop();
  await lab.daemon();
  expect(await app.state()).toBe('asleep');
  await expectWhole();
});

test('what it was writing when it was killed is gone when the next one is ready', async () => {
  const at = (...names: string[]): string => join(lab.dataDirectory, ...names);
  await daemon.kill();
  const drafts = ['layers', 'objects'].map((place) => at(place, '.01M80ZYDJX86TSGEESX1KHJQ30.draft'));
  for (const draft of drafts) writeFileSync(draft, 'half of it');
  await lab.daemon();
  expect(drafts.filter((draft) => existsSync(draft))).toEqual([]);
  await expectWhole();
});

test('killed while the application falls asleep', async () => {
  await killAt(/sleeping/, 'sleep');
  await lab.daemon();
  await eventually(async () => expect(['running', 'asleep']).toContain(await app.state()));
  await expectWhole();
});

test('killed while the application wakes', async () => {
  await app.sleep();
  await killAt(/waking/, 'wake');
  await lab.daemon();
  await eventually(async () => expect(['running', 'asleep']).toContain(await app.state()));
  await expectWhole();
});

test('killed again and again', async () => {
  for (let turn = 0; turn < 5; turn += 1) {
    if (turn % 2 === 0) await app.sleep();
    await daemon.kill();
    daemon = await lab.daemon();
    await work.goOn();
    expect(await app.state()).toBe('running');
  }
  await expectWhole();
});
