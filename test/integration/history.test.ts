/** An application's past: snapshots that it does not notice, what lies between two, going back, beginning anew, and which ones stay. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { GcReport } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { HELD_PORT, askLedger, expectCount, launchLedger, openLedger } from '../support/ledger.ts';
import { pastOf } from '../support/past.ts';
import { chain } from '../support/programs/chain.ts';
import { postgres, query } from '../support/programs/postgres.ts';
import { curlJson, fixture } from '../support/programs/program.ts';

let lab: Lab;
let made = 0;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon({ args: ['--history-keep', '5'] });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const ledger = async (): Promise<Application> => {
  const app = await launchLedger(lab, `ledger-${++made}`);
  onTestFinished(() => app.remove());
  return app;
};

const codeOf = async (...words: string[]): Promise<string> =>
  failureOf(await lab.appshot(...words, '--json')).code;

/** A snapshot at each count from 1 on. */
const snapshots = async (app: Application, count: number): Promise<string[]> => {
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) {
    await askLedger(lab, app, '/add');
    ids.push((await pastOf(lab, app).snapshot()).snapshot);
  }
  return ids;
};

describe('a snapshot', () => {
  test('is not noticed by who uses the application meanwhile', async () => {
    const app = await ledger();
    const connection = openLedger(lab, app);
    let asked = 0;
    const end = new AbortController();
    const using = (async () => {
      for (; !end.signal.aborted; await pause(2)) {
        const { body } = await connection.get('/add');
        expect(JSON.parse(body)).toMatchObject({ memory: ++asked, file: asked, lines: asked });
      }
    })();
    const taken: string[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const { snapshot, frozenMs, state, bytes, parent } = await pastOf(lab, app).snapshot();
      expect({ state, parent }).toEqual({ state: 'running', parent: taken.at(-1) ?? null });
      expect(bytes).toBeGreaterThan(0);
      expect(frozenMs).toBeGreaterThan(0);
      taken.push(snapshot);
    }
    end.abort();
    await using;
    expect(asked).toBeGreaterThan(3);
    connection.close();
    const entries = await pastOf(lab, app).settled();
    expect(entries.map(({ snapshot }) => snapshot)).toEqual(taken);
    expect(entries.map(({ current }) => current)).toEqual([false, false, true]);
    for (const { kind } of entries) expect(kind).toBe('snapshot');
  });

  test('and the next differ in what happened between them', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const before = await past.snapshot();
    await askLedger(lab, app, '/hold');
    await askLedger(lab, app, '/add');
    await lab.succeed('exec', app.name, '--', 'rm', '/etc/hostname');
    const after = await past.snapshot();
    const report = await past.diff(before.snapshot.slice(0, -1), after.snapshot);
    expect(report).toMatchObject({
      from: before.snapshot,
      to: after.snapshot,
      processes: { added: [], removed: [] },
    });
    expect(report.files).toEqual(
      expect.arrayContaining([
        { path: '/var/lib/ledger/held', change: 'added', bytes: 0 },
        { path: '/var/lib/ledger/lines', change: 'changed', bytes: 2 },
        { path: '/dev/shm/ledger', change: 'changed', bytes: 1 },
        { path: '/etc/hostname', change: 'removed', bytes: null },
      ]),
    );
    expect(report.memory.length).toBeGreaterThan(0);
    for (const { pagesChanged } of report.memory) expect(pagesChanged).toBeGreaterThan(0);
    const what = report.descriptors.added.map((one) => one.what);
    expect(what).toContainEqual(expect.stringContaining('/var/lib/ledger/held'));
    expect(report.sockets.added).toContainEqual(
      expect.objectContaining({
        kind: 'tcp',
        local: expect.stringContaining(`:${HELD_PORT}`) as string,
        remote: null,
      }),
    );
    const { files, memory, descriptors, sockets } = await past.diff(after.snapshot);
    expect({ files, memory, descriptors, sockets }).toEqual({
      files: [],
      memory: [],
      descriptors: { added: [], removed: [] },
      sockets: { added: [], removed: [] },
    });
    // The other way round, what came goes.
    const back = await past.diff(after.snapshot, before.snapshot);
    expect(back.files).toContainEqual({ path: '/var/lib/ledger/held', change: 'removed', bytes: null });
    expect(back.descriptors.removed).toEqual(report.descriptors.added);
  });
});

describe('going back', () => {
  test('to any of four instants and forth, memory and files together', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const ids = await snapshots(app, 4);
    await askLedger(lab, app, '/add');
    for (const target of [1, 4, 2, 3, 1]) {
      const id = ids[target - 1] ?? '';
      expect(await past.rewind(id)).toMatchObject({ aid: app.aid, state: 'running', snapshot: id });
      await expectCount(lab, app, target);
      await askLedger(lab, app, '/add');
      await expectCount(lab, app, target + 1);
    }
    // What it was before the first return is in its history as well.
    const asleep = (await past.settled()).filter(({ kind }) => kind === 'sleep');
    expect(asleep).toHaveLength(5);
    await past.rewind(asleep[0]?.snapshot ?? '');
    await expectCount(lab, app, 5);
    expect((await askLedger(lab, app, '/state')).hostname).toBe(app.hostname);
  });

  test('closes what the other end cannot continue, and says so', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const connection = openLedger(lab, app);
    const { localPort } = await connection.get('/add');
    const { snapshot } = await past.snapshot();
    await connection.get('/add');
    const { closed } = await past.rewind(snapshot);
    expect(closed).toContainEqual({
      local: `${app.address}:8080`,
      remote: expect.stringMatching(new RegExp(`:${localPort}$`)) as string,
    });
    await expect(connection.get('/add')).rejects.toThrow(/reset|closed|hang up|lost/i);
    connection.close();
    await expectCount(lab, app, 1);
  });

  test.each(['layer', 'lazy', 'copy'])('leaves what it says to itself alone (%s)', async (mode) => {
    const app = await launch(lab, `chain-${mode}`, chain.launch, ['--memory', mode]);
    onTestFinished(() => app.remove());
    const at = { lab, address: app.address };
    await chain.ready(at);
    const idle = await chain.openIdle(at);
    const work = await chain.begin(at);
    const { snapshot } = await pastOf(lab, app).snapshot();
    await curlJson(at, chain.port, '/count');
    expect((await pastOf(lab, app).rewind(snapshot)).closed).toHaveLength(1);
    await expect(idle.check()).rejects.toThrow(/reset|closed|hang up|lost/i);
    await work.goOn();
    await work.close();
    await idle.close();
  });

  test('asleep, it sleeps on and wakes in the past', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const [first = ''] = await snapshots(app, 2);
    await app.sleep();
    expect(await past.rewind(first)).toMatchObject({ state: 'asleep', snapshot: first });
    expect((await past.history()).find(({ current }) => current)?.snapshot).toBe(first);
    await expectCount(lab, app, 1);
    expect(await app.state()).toBe('running');
  });

  test('in every mode of memory', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const [first = ''] = await snapshots(app, 1);
    for (const mode of ['layer', 'lazy', 'copy']) {
      await askLedger(lab, app, '/add');
      await app.sleep();
      await past.rewind(first);
      await lab.succeed('wake', '--memory', mode, app.name);
      await expectCount(lab, app, 1);
    }
  });

  test('a database has the rows that it had', async () => {
    const app = await launch(lab, 'database', postgres.launch);
    onTestFinished(() => app.remove());
    const at = { lab, address: app.address };
    const past = pastOf(lab, app);
    const rows = (): Promise<string> => query(at, 'SELECT count(*), max(id) FROM entry');
    const insert = (): Promise<string> =>
      query(at, 'INSERT INTO entry SELECT max(id) + generate_series(1, 100) FROM entry');
    await postgres.ready(at);
    await query(at, 'CREATE TABLE entry AS SELECT 0 AS id');
    const ids: string[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await insert();
      ids.push((await past.snapshot()).snapshot);
    }
    await insert();
    for (const target of [0, 1, 0]) {
      await past.rewind(ids[target] ?? '');
      expect(await rows()).toBe(`${target * 100 + 101}|${target * 100 + 100}`);
      await insert();
      expect(await rows()).toBe(`${target * 100 + 201}|${target * 100 + 200}`);
    }
  });
});

describe('a fork', () => {
  test('lives its own life beside what it came from', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const [first = ''] = await snapshots(app, 2);
    const twin = await past.fork(`${app.name}-twin`, first);
    onTestFinished(() => twin.remove());
    expect(twin.address).not.toBe(app.address);
    const state = await expectCount(lab, twin, 1);
    expect(state).toMatchObject({ hostname: twin.name, pid: (await expectCount(lab, app, 2)).pid });
    for (let turn = 0; turn < 3; turn += 1) await askLedger(lab, twin, '/add');
    await askLedger(lab, app, '/add');
    await expectCount(lab, twin, 4);
    await expectCount(lab, app, 3);

    // Of the fork as it is now, and not of a snapshot that exists.
    const third = await pastOf(lab, twin).fork(`${app.name}-third`);
    onTestFinished(() => third.remove());
    await askLedger(lab, third, '/add');
    await Promise.all([twin.sleep(), app.sleep()]);
    await expectCount(lab, third, 5);
    await expectCount(lab, twin, 4);
    await expectCount(lab, app, 3);
    expect((await pastOf(lab, third).history())[0]).toMatchObject({ kind: 'fork', snapshot: third.snapshot });
  });

  test('outlives what it came from', async () => {
    const app = await launchLedger(lab, 'parent');
    await askLedger(lab, app, '/add');
    const twin = await pastOf(lab, app).fork('child');
    onTestFinished(() => twin.remove());
    await app.remove();
    await lab.succeed('gc');
    await twin.sleep();
    await expectCount(lab, twin, 1);
    await twin.sleep();
    await lab.succeed('wake', '--memory', 'copy', twin.name);
    await expectCount(lab, twin, 1);
  });
});

describe('what stays', () => {
  test('of sleeps, as many as the daemon is told; of snapshots, all', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const { snapshot } = await past.snapshot();
    const slept: string[] = [];
    for (let turn = 0; turn < 6; turn += 1) {
      await askLedger(lab, app, '/add');
      slept.push((await app.sleep()).snapshot);
    }
    await eventually(
      async () =>
        expect((await past.settled()).map((one) => one.snapshot)).toEqual([snapshot, ...slept.slice(-5)]),
      20_000,
      200,
    );
    await past.rewind(slept[2] ?? '');
    await expectCount(lab, app, 3);
  });

  test('what is pinned, until it is let go; not what has expired', async () => {
    const app = await ledger();
    const past = pastOf(lab, app);
    const names = async (): Promise<string[]> => (await past.settled()).map(({ snapshot }) => snapshot);
    const gc = async (...options: string[]): Promise<GcReport> =>
      (await lab.succeed('gc', '--json', ...options)).json();
    const passing = await past.snapshot('--ttl', '1s');
    expect(Date.parse(passing.expiresAt ?? '')).toBeGreaterThan(Date.now() - 1000);
    const pinned = await past.snapshot('--pin');
    const last = await past.snapshot();
    // It goes when its time has come and somebody looks: a collection, or the next snapshot.
    await eventually(
      async () => {
        await gc();
        expect(await names()).toEqual([pinned.snapshot, last.snapshot]);
      },
      10_000,
      100,
    );

    expect(await codeOf('discard', pinned.snapshot)).toBe('SNAPSHOT_IN_USE');
    await lab.succeed('unpin', pinned.snapshot);
    await lab.succeed('pin', last.snapshot);
    await lab.succeed('discard', pinned.snapshot);
    expect(await names()).toEqual([last.snapshot]);

    const would = await gc('--dry-run');
    expect(would).toMatchObject({ snapshots: 0, layers: 1 });
    expect(await gc()).toEqual(would);
    expect(await gc()).toEqual({ snapshots: 0, layers: 0, objects: 0, bytes: 0 });
    await lab.succeed('unpin', last.snapshot);
    expect((await past.history())[0]).toMatchObject({ pinned: false, current: true });
    await app.sleep();
    await expectCount(lab, app, 0);
  });

  test('nothing, of what is removed while its memory is being written', async () => {
    const command = [process.execPath, fixture('counter.js'), '8080', '200'];
    const app = await launch(lab, 'fleeting', { command });
    await eventually(() => curlJson({ lab, address: app.address }, 8080, '/state'));
    const { snapshot } = await app.sleep();
    await app.remove();
    const left = readdirSync(join(lab.dataDirectory, 'snapshots')).filter((name) => name.includes(snapshot));
    expect(left).toEqual([]);
  });
});

describe('what cannot be', () => {
  test('is refused with what is wrong, and changes nothing', async () => {
    const app = await ledger();
    const other = await ledger();
    const [first = ''] = await snapshots(app, 1);
    const [foreign = ''] = await snapshots(other, 1);
    await snapshots(app, 1);
    expect(await codeOf('rewind', app.name, 'ZZZZ')).toBe('SNAPSHOT_NOT_FOUND');
    expect(await codeOf('rewind', app.name, foreign)).toBe('SNAPSHOT_NOT_FOUND');
    const ambiguous = failureOf(await lab.appshot('rewind', app.name, first.slice(0, 4), '--json'));
    expect(ambiguous).toMatchObject({ code: 'SNAPSHOT_AMBIGUOUS' });
    expect(ambiguous.details?.['candidates']).toContain(first);
    expect(await codeOf('rewind', app.name, 'no/snapshot')).toBe('BAD_REQUEST');
    expect(await codeOf('diff', app.name, first, 'ZZZZ')).toBe('SNAPSHOT_NOT_FOUND');
    expect(await codeOf('fork', app.name, '--name', other.name)).toBe('NAME_TAKEN');
    expect(await codeOf('fork', `${app.name}@ZZZZ`, '--name', 'fresh')).toBe('SNAPSHOT_NOT_FOUND');
    expect(await codeOf('fork', 'nobody', '--name', 'fresh')).toBe('APP_NOT_FOUND');
    expect(await codeOf('pin', 'ZZZZ')).toBe('SNAPSHOT_NOT_FOUND');
    expect(await codeOf('snapshot', '--pin', '--ttl', '1h', app.name)).toBe('USAGE');
    await expectCount(lab, app, 2);

    const { snapshot } = await app.sleep();
    expect(await codeOf('snapshot', app.name)).toBe('WRONG_STATE');
    expect(await codeOf('discard', snapshot)).toBe('SNAPSHOT_IN_USE');
    await lab.succeed('discard', first);
    expect(await codeOf('rewind', app.name, first)).toBe('SNAPSHOT_NOT_FOUND');
    await expectCount(lab, app, 2);
    await expectCount(lab, other, 1);
    expect((await lab.appshot('inspect', 'fresh')).code).toBe(1);
  });
});
