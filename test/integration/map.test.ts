/** `appshot map`: from either side, awake, asleep, and for clones that have never been awake. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FoundTranslation, MapView } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import { askTenant, launchTenant } from '../support/tenant.ts';

let lab: Lab;
let app: Application;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  const volume = join(lab.directory, 'volume');
  mkdirSync(volume);
  app = await launch(lab, 'web', kitchen.launch, ['--volume', `${volume}:/vol`]);
  await kitchen.ready({ lab, address: app.address });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const mapOf = async (...args: string[]): Promise<MapView['translations']> =>
  (await lab.succeed('map', '--json', ...args)).json<MapView>().translations;

const found = async (system: string): Promise<FoundTranslation[]> =>
  (await lab.appshot('map', '--json', '--system', system)).json<FoundTranslation[]>();

test('every process is found from either side', async () => {
  const { processes } = await app.inspect();
  for (const { pid, systemPid } of processes) {
    expect(await found(`pid:${systemPid}`)).toMatchObject([{ aid: app.aid, virtual: String(pid) }]);
    expect(await mapOf('web', '--virtual', `pid:${pid}`)).toMatchObject([{ system: String(systemPid) }]);
  }
  const types = new Set((await mapOf('web')).map(({ type }) => type));
  expect([...types]).toEqual(expect.arrayContaining(['pid', 'tid', 'fd', 'ipc', 'address', 'port', 'path']));
  expect((await mapOf('web', '--type', 'port')).every(({ type }) => type === 'port')).toBe(true);
});

test('frozen it has what it had', async () => {
  const ids = async () => (await mapOf('web')).map(({ type, virtual, system }) => [type, virtual, system]);
  const before = await ids();
  await lab.succeed('freeze', 'web');
  expect(await ids()).toEqual(before);
  expect(await app.state()).toBe('frozen');
  await lab.succeed('wake', 'web');
});

test('what nobody has is a failure, and what cannot be asked a mistake', async () => {
  const codes = await Promise.all(
    [
      ['--system', `pid:${process.pid}`],
      ['web', '--virtual', 'pid:9999'],
      ['nobody'],
      [],
      ['web', '--system', 'pid:1'],
      ['--system', '4711'],
      ['web', '--type', 'none'],
    ].map(async (args) => (await lab.appshot('map', ...args)).code),
  );
  expect(codes).toEqual([1, 1, 1, 2, 2, 2, 2]);
});

test('asleep it has its IDs, its port and its files', async () => {
  const before = await mapOf('web', '--type', 'pid');
  await app.sleep();
  const asleep = await mapOf('web');
  expect(asleep.filter(({ type }) => type === 'pid')).toMatchObject(
    before.filter(({ virtual }) => virtual !== '1').map(({ virtual }) => ({ virtual, system: null })),
  );
  expect(await found(`port:tcp:${app.address}:${kitchen.port}`)).toMatchObject([{ name: 'web' }]);
  expect(await found(`path:${join(lab.directory, 'volume')}`)).toMatchObject([
    { name: 'web', virtual: '/vol' },
  ]);
  expect(await found(`pid:${before[1]?.system}`)).toEqual([]);
  // Looking wakes nobody.
  expect(await app.state()).toBe('asleep');
});

test('a clone has its own address and files, also before it is awake', async () => {
  const tenant = await launchTenant(lab, 'source', { kept: '/srv/kept' });
  await askTenant(lab, tenant, 'write', '/srv/theirs', 'template');
  await lab.succeed('template', 'create', 'tenants', '--from', 'source');
  for (const [name, options] of [
    ['awake', []],
    ['dormant', ['--asleep']],
  ] as const) {
    const [clone] = (await lab.succeed('clone', '--json', 'tenants', '--name', name, ...options)).json<
      { address: string }[]
    >();
    const ports = await mapOf(name, '--type', 'port');
    expect(ports.map(({ virtual, system }) => [virtual, system])).toEqual([
      [`tcp:${clone?.address}:8091`, `tcp:${clone?.address}:8091`],
      ['tcp:0.0.0.0:8090', `tcp:${clone?.address}:8090`],
    ]);
    // Of the template's files, as long as the daemon holds them.
    const [theirs] = await mapOf(name, '--virtual', 'path:/srv/theirs');
    expect(readFileSync(theirs?.system ?? '', 'utf8')).toBe('template');
  }
});
