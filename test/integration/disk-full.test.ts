/** The disk of the data directory is full: an application runs on, or sleeps on, unharmed; with room again it does as it is told. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import type { SmallDisk } from '../support/small-disk.ts';
import { node } from '../support/programs/node.ts';
import type { Idle, Work } from '../support/programs/program.ts';

const MIB = 1 << 20;
/** More than the snapshot of the application needs, twice. */
const DISK = 300 * MIB;

let lab: Lab;
let disk: SmallDisk;
let baseline: Inventory;
let app: Application;
let work: Work;
let idle: Idle;

beforeAll(async () => {
  lab = await createLab();
  disk = await mountSmallDisk(lab.dataDirectory, DISK);
  await lab.daemon();
  baseline = await settledInventory(lab);
  app = await launch(lab, 'node', node.launch);
  const at = { lab, address: app.address };
  await node.ready(at);
  work = await node.begin(at);
  idle = await node.openIdle(at);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

beforeEach(() => disk.makeRoom());

// Room for a part of the snapshot, for the engine's first files, for a few rows of the registry, for nothing at all.
test.each([20 * MIB, 64 << 10, 24 << 10, 12 << 10, 4 << 10, 0])(
  'no room for a snapshot: %d bytes are left',
  async (left) => {
    disk.fill(left);
    const error = failureOf(await lab.appshot('sleep', '--json', app.aid));
    expect(error).toMatchObject({ code: 'NO_SPACE' });
    expect(error.message).toContain(lab.dataDirectory);
    await idle.check();
    await work.goOn();
    expect(readdirSync(join(lab.dataDirectory, 'snapshots')).filter((name) => name.startsWith('.'))).toEqual(
      [],
    );
    disk.makeRoom();
    // The registry may not have had room for the outcome.
    await eventually(async () => expect(await app.state()).toBe('running'));
    await app.sleep();
    await expectNothingLeft(lab, baseline);
    await work.goOn();
    await idle.check();
  },
);

test.each([24 << 10, 12 << 10, 4 << 10, 0])(
  'asked for when %d bytes are left: it wakes, or sleeps on until there is room',
  async (left) => {
    await app.sleep();
    await app.kept();
    disk.fill(left);
    const result = await lab.appshot('wake', '--json', app.aid);
    expect(['woken', 'NO_SPACE']).toContain(result.code === 0 ? 'woken' : failureOf(result).code);
    disk.makeRoom();
    const outcome = result.code === 0 ? 'running' : 'asleep';
    await eventually(async () => expect(await app.state()).toBe(outcome));
    await work.goOn();
    await idle.check();
    await app.sleep();
    await expectNothingLeft(lab, baseline);
    await work.goOn();
  },
);
