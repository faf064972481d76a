/** Clones: who they are, what they have of their template and what they have not, and that they live on as any application does. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { CloneView, GcReport } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import {
  endLab,
  makeClone,
  makeClones,
  makeTemplate,
  removeAll,
  removeTemplate,
  templatesOf,
} from '../support/clones.ts';
import type { Clone } from '../support/clones.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { askLedger, expectCount, launchLedger, openLedger } from '../support/ledger.ts';
import { pastOf } from '../support/past.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import { askJson, openLines } from '../support/programs/program.ts';
import { systemV } from '../support/programs/system-v.ts';
import { askTenant, greetingOf, launchTenant, openTenant, whoIs } from '../support/tenant.ts';

let lab: Lab;
let daemon: DaemonProcess;
let made = 0;

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
});

afterAll(async () => {
  await endLab(lab);
});

/** Removed with its clones when the test ends; they go first. */
const templateOf = async (app: Application, ...options: string[]): Promise<string> => {
  const name = `warm-${++made}`;
  await makeTemplate(lab, name, app, ...options);
  onTestFinished(() => removeTemplate(lab, name));
  return name;
};

const clones = async (template: string, count: number, ...options: string[]): Promise<Clone[]> => {
  const all = await makeClones(lab, template, count, ...options);
  onTestFinished(() => removeAll(lab, all));
  return all;
};

const clone = async (template: string, ...options: string[]): Promise<Clone> => {
  const one = await makeClone(lab, template, ...options);
  onTestFinished(() => one.remove());
  return one;
};

const tenant = async (options: { kept?: string; options?: readonly string[] } = {}): Promise<Application> => {
  const app = await launchTenant(lab, `tenant-${++made}`, options);
  onTestFinished(() => app.remove());
  return app;
};

/** A ledger that has counted so far. */
const ledger = async (count: number): Promise<Application> => {
  const app = await launchLedger(lab, `ledger-${++made}`);
  onTestFinished(() => app.remove());
  for (let at = 0; at < count; at += 1) await askLedger(lab, app, '/add');
  return app;
};

describe('a clone', () => {
  test('has a name, a number, an address and an identity of its own', async () => {
    const app = await tenant();
    const template = await templateOf(app);
    const result = await lab.succeed('clone', template, '--count', '2', '--json');
    const views = result.json<CloneView[]>();
    onTestFinished(() => removeAll(lab, views));
    const named = await clone(template, '--name', 'named');
    const several = await clones(template, 2, '--name', 'several');
    for (const view of views)
      expect(view).toMatchObject({ state: 'running', hostname: view.name, ms: expect.any(Number) as number });
    expect(views.map(({ name, instance }) => [name, instance])).toEqual([
      [`${template}-1`, 1],
      [`${template}-2`, 2],
    ]);
    expect([named, ...several].map(({ name, instance }) => [name, instance])).toEqual([
      ['named', 3],
      ['several-4', 4],
      ['several-5', 5],
    ]);
    const all = [...views, named, ...several];
    expect(new Set([app, ...all].map(({ address }) => address)).size).toBe(6);
    const { pid } = await whoIs(lab, app);
    for (const { aid, name, address, instance } of all) {
      const who = await whoIs(lab, { address });
      const identity = { aid, name, hostname: name, address, instance, template, generation: 1 };
      expect(who).toMatchObject({ identity, hostname: name, file: name, generation: '1', pid });
      expect(who.hosts).toMatch(new RegExp(`^${address}\\s+${name}$`, 'm'));
      expect(who.hosts).not.toContain(app.address);
      expect(who.variables).toMatchObject({
        HOSTNAME: name,
        APPSHOT_AID: aid,
        APPSHOT_NAME: name,
        APPSHOT_ADDRESS: address,
        APPSHOT_INSTANCE: String(instance),
        APPSHOT_TEMPLATE: template,
        APPSHOT_GENERATION: '1',
      });
      // The socket that is bound to the source's own address follows.
      expect(await greetingOf(lab, { address })).toBe(address);
    }
    expect((await lab.succeed('exec', named.name, '--', 'hostname')).stdout).toBe('named\n');
    expect(await greetingOf(lab, app)).toBe(app.address);
    expect(await whoIs(lab, app)).toMatchObject({ hostname: app.name, generation: '0' });
    expect((await templatesOf(lab)).find(({ name }) => name === template)).toMatchObject({ clones: 5 });
  });

  test('of a clone has what that had written, and is of the next generation', async () => {
    const app = await ledger(1);
    const first = await clone(await templateOf(app));
    await askLedger(lab, first, '/add');
    await first.sleep();
    await expectCount(lab, first, 2);
    const template = await templateOf(first);
    await askLedger(lab, first, '/add');
    const [second, sleeper] = [await clone(template), await clone(template, '--asleep')];
    for (const one of [second, sleeper]) {
      expect(await expectCount(lab, one, 2)).toMatchObject({ hostname: one.name });
      await askLedger(lab, one, '/add');
      await askLedger(lab, one, '/add');
      await expectCount(lab, one, 4);
      await one.sleep();
      await expectCount(lab, one, 4);
      const { stdout } = await lab.succeed('exec', one.name, '--', 'cat', '/.appshot/generation');
      expect(stdout.trim()).toBe('2');
    }
    await expectCount(lab, first, 3);
    await expectCount(lab, app, 1);
    expect((await templatesOf(lab)).find(({ name }) => name === template)?.from).toMatchObject({
      name: first.name,
    });
  });

  test('is woken by its first packet when it begins asleep', async () => {
    const template = await templateOf(await ledger(2));
    const sleepers = await clones(template, 3, '--asleep');
    expect(sleepers.map(({ began }) => began)).toEqual(['asleep', 'asleep', 'asleep']);
    for (const one of sleepers) {
      await expectCount(lab, one, 2);
      expect(await one.state()).toBe('running');
    }
    for (const mode of ['layer', 'lazy', 'copy']) {
      const one = await clone(template, '--memory', mode);
      await askLedger(lab, one, '/add');
      await expectCount(lab, one, 3);
    }
  });

  test('with a snapshot of its own needs the template no more', async () => {
    const app = await ledger(2);
    await makeTemplate(lab, 'passing', app);
    const all = await clones('passing', 2, '--offline');
    expect(all.map(({ began }) => began)).toEqual(['asleep', 'asleep']);
    await removeTemplate(lab, 'passing');
    await lab.succeed('gc');
    for (const one of all) {
      expect(await expectCount(lab, one, 2)).toMatchObject({ hostname: one.name });
      await askLedger(lab, one, '/add');
      await one.sleep();
      await expectCount(lab, one, 3);
    }
    await expectCount(lab, app, 2);
  });

  test('has none of the connections that others had, which go on in the source', async () => {
    const app = await tenant();
    const connection = await openTenant(lab, app);
    await connection.ask('say hello');
    const template = await templateOf(app);
    for (const one of await clones(template, 2)) {
      const [only, ...others] = await askTenant<number[]>(lab, one, 'connections');
      expect(only).toBeGreaterThan(0);
      expect(others).toEqual([]);
    }
    await connection.ask('say again');
    connection.close();
  });

  test('begins with empty logs', async () => {
    const app = await tenant();
    await askTenant(lab, app, 'say', 'before');
    const one = await clone(await templateOf(app));
    expect((await lab.succeed('logs', one.name)).stdout).toBe('');
    await askTenant(lab, one, 'say', 'after');
    expect((await lab.succeed('logs', one.name)).stdout).toMatch(/after\n$/);
    expect((await lab.succeed('logs', one.name)).stdout).not.toContain('before');
    expect((await lab.succeed('logs', app.name)).stdout).not.toContain('after');
  });
});

describe('side by side', () => {
  test('the same names of kernel objects are different objects', async () => {
    const app = await launch(lab, kitchen.name, kitchen.launch);
    onTestFinished(() => app.remove());
    await kitchen.ready({ lab, address: app.address });
    const template = await templateOf(app);
    const all = [app, ...(await clones(template, 3))];
    const ask = <T>({ address }: Application, words: string): Promise<T> =>
      askJson<T>({ lab, address }, kitchen.port, words);
    for (const one of all) await ask(one, `put ${one.name}`);
    for (const one of all) {
      const { words } = await ask<{ words: Record<string, string> }>(one, 'take');
      expect(new Set(Object.values(words))).toEqual(new Set([one.name]));
    }
  });

  test('the same System V keys are different objects', async () => {
    const app = await launch(lab, systemV.name, systemV.launch);
    onTestFinished(() => app.remove());
    await systemV.ready({ lab, address: app.address });
    const all = [app, ...(await clones(await templateOf(app), 3))];
    const ask = async ({ address }: Application, words: string): Promise<string> => {
      const client = await openLines({ lab, address }, systemV.port);
      try {
        return await client.ask(words);
      } finally {
        client.close();
      }
    };
    for (const [index, one] of all.entries()) {
      await ask(one, `write ${one.name}`);
      await ask(one, `send ${one.name}`);
      await ask(one, `add ${index}`);
    }
    for (const [index, one] of all.entries()) {
      const state = await ask(one, 'state');
      for (const part of [`word ${one.name}`, `value ${7 + index}`, 'messages 1', 'semaphore 5193'])
        expect(state).toContain(part);
      expect(await ask(one, 'receive')).toContain(one.name);
    }
  });
});

describe('the past of a clone', () => {
  test('can be looked at, compared, gone back to and begun anew from', async () => {
    const one = await clone(await templateOf(await ledger(1)));
    const past = pastOf(lab, one);
    await askLedger(lab, one, '/add');
    const { snapshot } = await past.snapshot();
    await askLedger(lab, one, '/add');
    const later = await past.snapshot();
    const { files } = await past.diff(snapshot, later.snapshot);
    expect(files).toContainEqual({ path: '/var/lib/ledger/lines', change: 'changed', bytes: 6 });
    await past.rewind(snapshot);
    await expectCount(lab, one, 2);
    expect((await past.settled()).map(({ kind }) => kind)).toEqual(['snapshot', 'snapshot', 'sleep']);
    const twin = await past.fork('twin');
    onTestFinished(() => twin.remove());
    await askLedger(lab, twin, '/add');
    expect(await expectCount(lab, twin, 3)).toMatchObject({ hostname: 'twin' });
    await expectCount(lab, one, 2);
    await Promise.all([one.sleep(), twin.sleep()]);
    await past.rewind(later.snapshot);
    await expectCount(lab, one, 3);
    await expectCount(lab, twin, 3);
  });

  test('travels with the files that its template has', async () => {
    const one = await clone(await templateOf(await ledger(2)));
    const file = join(lab.directory, 'clone.appshot');
    await askLedger(lab, one, '/add');
    await one.sleep();
    await lab.succeed('export', one.name, file);
    const view = (await lab.succeed('import', file, '--name', 'arrived', '--json')).json<CloneView>();
    onTestFinished(() => removeAll(lab, [view]));
    expect(await expectCount(lab, view, 3)).toMatchObject({ hostname: 'arrived' });
    await askLedger(lab, view, '/add');
    await expectCount(lab, one, 3);
  });
});

describe('a template', () => {
  test('stays as long as a clone needs it, and leaves nothing', async () => {
    const app = await launchLedger(lab, 'short-lived');
    await askLedger(lab, app, '/add');
    const gc = async (): Promise<GcReport> => (await lab.succeed('gc', '--json')).json();
    await gc();
    await makeTemplate(lab, 'short', app);
    const one = await makeClone(lab, 'short');
    const refused = failureOf(await lab.appshot('template', 'rm', 'short', '--json'));
    expect(refused).toMatchObject({ code: 'TEMPLATE_IN_USE' });
    expect(refused.message).toContain(one.name);
    await app.remove();
    await expectCount(lab, one, 1);
    await one.sleep();
    await expectCount(lab, one, 1);
    await one.remove();
    await removeTemplate(lab, 'short');
    await gc();
    expect(await gc()).toEqual({ snapshots: 0, layers: 0, objects: 0, bytes: 0 });
  });
});

describe('a daemon', () => {
  test.each(['stops', 'is killed'])('that %s leaves clones as they are, and templates', async (how) => {
    const template = await templateOf(await ledger(1));
    const [running, asleep, sleeper] = [
      await clone(template),
      await clone(template),
      await clone(template, '--asleep'),
    ];
    for (const one of [running, asleep]) await askLedger(lab, one, '/add');
    const connection = openLedger(lab, running);
    await connection.get('/state');
    await asleep.sleep();
    await (how === 'stops' ? daemon.stop() : daemon.kill());
    // Nobody sees to it, and it answers.
    await expectCount(lab, running, 2);
    daemon = await lab.daemon();
    await connection.get('/add');
    connection.close();
    await expectCount(lab, running, 3);
    expect(await asleep.state()).toBe('asleep');
    await expectCount(lab, asleep, 2);
    expect(await expectCount(lab, sleeper, 1)).toMatchObject({ hostname: sleeper.name });
    await running.sleep();
    await expectCount(lab, running, 3);
    await expectCount(lab, await clone(template), 1);
    const { stdout } = await lab.succeed('exec', running.name, '--', 'cat', '/var/lib/ledger/lines');
    expect(stdout).toBe('1\n2\n3\n');
  });
});
