/**
 * Translation tables against the kernel's own view: what runs inside is looked at from inside, by tools of the system in the
 * application's namespaces, and compared with what the tables say from outside.
 */
import { mkdirSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppDetail, TranslationType } from '../../src/api/index.ts';
import { Schema, decodeImage, defaultEngineDir, imageKind, loadEngine } from '../../src/criu/index.ts';
import { run } from '../../src/exec/index.ts';
import {
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  close,
  openNamespace,
  withNetworkNamespace,
} from '../../src/kernel/index.ts';
import {
  Places,
  placesOf,
  readKernelView,
  savedTablesOf,
  tablesOf,
  toVirtual,
} from '../../src/resources/index.ts';
import type { Registered, TranslationTables } from '../../src/resources/index.ts';
import { Layout, Manifest } from '../../src/snapshots/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';

import type { Lab } from '../support/lab.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import type { Program } from '../support/programs/program.ts';
import { systemV } from '../support/programs/system-v.ts';
import { threads } from '../support/programs/threads.ts';
import { askTenant, launchTenant } from '../support/tenant.ts';

let lab: Lab;
let layout: Layout;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  layout = new Layout(lab.dataDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** A shell whose jobs have process groups of their own, in one session. */
const jobs: Pick<Program, 'name' | 'launch' | 'ready'> = {
  name: 'jobs',
  launch: { command: ['bash', '-c', 'set -m; sleep 1000 & sleep 1000 & wait'] },
  ready: () =>
    eventually(async () => {
      const { processes } = (await lab.succeed('inspect', '--json', 'jobs')).json<AppDetail>();
      expect(processes.filter(({ command }) => command.startsWith('sleep'))).toHaveLength(2);
    }),
};

const started = async (program: typeof jobs, name: string): Promise<Application> => {
  const app = await launch(lab, name, program.launch);
  await program.ready({ lab, address: app.address });
  return app;
};

const linkOf = async ({ environment }: AppDetail): Promise<Registered['link']> => {
  const { stdout } = await run('ip', ['-n', lab.name, '-json', 'link', 'show', 'type', 'veth']);
  const links = JSON.parse(stdout) as { ifindex: number; ifname: string }[];
  const found = links.find(({ ifname }) => environment !== null && ifname.endsWith(environment));
  return found && { index: found.ifindex, name: found.ifname };
};

/** As the daemon gives an address to hardware. */
const macOf = (address: string): string =>
  ['02', 'a5', ...address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':');

const registeredOf = async (detail: AppDetail): Promise<Registered> => ({
  ...{ node: 'lab', address: detail.address, mac: macOf(detail.address), hostname: detail.hostname },
  ...{ network: 'default', link: await linkOf(detail), published: [], redirections: [] },
  volumes: detail.spec.volumes.map(({ target }) => target),
  links: (detail.spec.links ?? []).map(({ path, target }) => ({
    path,
    target: target.replaceAll('<AID>', detail.aid),
  })),
  places: new Places(
    placesOf({
      files: layout.application(detail.aid),
      volumes: detail.spec.volumes,
      shown: [],
    }),
  ),
});

const initOf = (pid: number): number =>
  Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

const mapped = async (app: Application) => {
  const detail = await app.inspect();
  const registered = await registeredOf(detail);
  const pids = detail.processes.map(({ systemPid }) => systemPid);
  const rootPid = detail.processes.find(({ parent }) => parent === 1)?.systemPid ?? 0;
  const initPid = initOf(rootPid);
  const namespace = openNamespace(initPid, 'net');
  using diagnosis = withNetworkNamespace(namespace, () => NetlinkSocket.open(NETLINK_SOCK_DIAG));
  close(namespace);
  const view = readKernelView({ pids, initPid, rootPid, diagnosis });
  return { tables: tablesOf(view, registered), registered, pids, initPid, rootPid };
};

/** Runs a tool of the machine in namespaces of an application, by its own root and IDs where those are its own. */
const within = async (pid: number, kinds: readonly string[], command: readonly string[]): Promise<string> =>
  (await run('nsenter', [`--target=${pid}`, ...kinds.map((kind) => `--${kind}`), '--', ...command])).stdout;

const pairs = (tables: TranslationTables, type: TranslationType): [string, string][] =>
  tables.of(type).entries.map(({ virtual, system }) => [virtual, system ?? '']);

const virtuals = (tables: TranslationTables, type: TranslationType): string[] =>
  tables
    .of(type)
    .entries.map(({ virtual }) => virtual)
    .toSorted();

const systems = (tables: TranslationTables, type: TranslationType): string[] =>
  tables.of(type).entries.flatMap(({ system }) => system ?? []);

/** What /proc/PID/stat tells: name, process group, session, and when it began, which no other process of that PID has. */
const statOf = (text: string) => {
  const [state, parent, group, session, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  expect([state, parent]).not.toContain(undefined);
  return { name: text.slice(text.indexOf('('), text.lastIndexOf(')')), group, session, began: rest[15] };
};

const expectBothWays = (tables: TranslationTables): void => {
  for (const entry of tables.entries) {
    const table = tables.of(entry.type);
    for (const name of [entry.virtual, ...entry.also]) expect(table.toSystem(name)).toBe(entry);
    if (entry.system !== null) expect(table.toVirtual(entry.system)).toEqual([entry]);
  }
};

describe.each([kitchen, threads, jobs])('the IDs of $name', (program) => {
  test('are those that the kernel shows inside, one for each outside', async () => {
    const app = await started(program, program.name);
    const { tables, initPid, pids } = await mapped(app);
    expectBothWays(tables);
    const script = 'for task in /proc/[0-9]*/task/*; do echo "$task $(cat "$task/stat")"; done';
    const inside = (await within(initPid, ['pid', 'mount'], ['sh', '-c', script])).split('\n');
    const seen = new Map(
      inside.flatMap((line) => {
        const [, pid, tid, stat] = /^\/proc\/(\d+)\/task\/(\d+) (.+)$/.exec(line) ?? [];
        return pid === undefined || tid === undefined || stat === undefined
          ? []
          : [[tid, { pid, ...statOf(stat) }]];
      }),
    );
    expect(tables.of('pid').entries).toHaveLength(pids.length + 1);
    for (const [virtual, system] of pairs(tables, 'pid')) {
      const { group, session, ...outside } = statOf(readFileSync(`/proc/${system}/stat`, 'utf8'));
      const there = seen.get(virtual);
      expect(there).toMatchObject({ pid: virtual, ...outside });
      for (const [type, mine, theirs] of [
        ['pgid', group, there?.group],
        ['sid', session, there?.session],
      ] as const) {
        // 0 is what was made outside.
        const expected = theirs === '0' ? [] : [theirs];
        expect(
          tables
            .of(type)
            .toVirtual(mine ?? '')
            .map((one) => one.virtual),
        ).toEqual(expected);
      }
    }
    const tasks = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((tid) => ({ pid, tid })));
    expect(tables.of('tid').entries).toHaveLength(tasks.length);
    for (const { pid, tid } of tasks) {
      const [found] = tables.of('tid').toVirtual(tid);
      const outside = statOf(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8'));
      expect(seen.get(found?.virtual ?? '')).toMatchObject({ name: outside.name, began: outside.began });
    }
    await app.remove();
  });
});

test('every descriptor of every process is the one that is open inside', async () => {
  const app = await started(kitchen, 'descriptors');
  const { tables, initPid, pids } = await mapped(app);
  const script =
    'for fd in /proc/[0-9]*/fd/*; do echo "$(stat --dereference --format=%Hd:%Ld:%i "$fd") $fd $(readlink "$fd")"; done';
  const inside = await within(initPid, ['pid', 'mount'], ['sh', '-c', script]);
  const seen = new Map(
    [...inside.matchAll(/^(\S+) \/proc\/(\d+)\/fd\/(\d+) (.+)$/gm)].map(([, identity, pid, fd, target]) => [
      `${pid}:${fd}`,
      { identity, target },
    ]),
  );
  const open = pids.flatMap((pid) => readdirSync(`/proc/${pid}/fd`).map((fd) => `${pid}:${fd}`));
  expect(systems(tables, 'fd').toSorted()).toEqual(open.toSorted());
  expect(open.length).toBeGreaterThan(40);
  const entries = tables.of('fd').entries;
  expect(entries.map(({ virtual, note }) => [virtual, note])).toEqual(
    entries.map(({ virtual }) => [virtual, seen.get(virtual)?.target]),
  );
  const files = entries.filter(({ note }) => note.startsWith('/'));
  expect(files.map(({ objects: [object] }) => object)).toEqual(
    files.map(({ virtual }) => seen.get(virtual)?.identity),
  );
  // What two have open is found by either, and both by what it is.
  const shared = Map.groupBy(
    tables.of('fd').entries.filter(({ note }) => note.startsWith('socket:')),
    ({ note }) => note,
  );
  for (const [socket, holders] of shared)
    expect(
      tables
        .of('fd')
        .toVirtual(socket)
        .map(({ virtual }) => virtual),
    ).toEqual(holders.map(({ virtual }) => virtual));
  await app.remove();
});

const SYSTEM_V = [
  ['shm', '--shmems'],
  ['sem', '--semaphores'],
  ['msg', '--queues'],
] as const;

test('System V objects and POSIX shared memory are those of its namespace', async () => {
  const apps = [await started(systemV, 'objects'), await started(kitchen, 'memory')];
  for (const app of apps) {
    const { tables, rootPid } = await mapped(app);
    const namespace = readlinkSync(`/proc/${rootPid}/ns/ipc`);
    for (const [kind, option] of SYSTEM_V) {
      const text = await within(rootPid, ['ipc'], ['ipcs', option]);
      const listed = [...text.matchAll(/^(0x[0-9a-f]{8}) (\d+) /gm)].map(([, key, id]) => ({ key, id }));
      expect(virtuals(tables, 'ipc').filter((one) => one.startsWith(`${kind}:`))).toEqual(
        listed.map(({ id }) => `${kind}:${id}`).toSorted(),
      );
      for (const { key, id } of listed) {
        const entry = tables.of('ipc').toSystem(`${kind}:${id}`);
        expect(entry?.system).toBe(`${namespace}:${kind}:${id}`);
        expect(tables.of('ipc').toSystem(`${kind}:${key}`)).toBe(key === '0x00000000' ? undefined : entry);
      }
    }
    for (const { virtual, system } of tables
      .of('ipc')
      .entries.filter((one) => one.virtual.startsWith('posix-shm:'))) {
      const inside = statSync(`/proc/${rootPid}/root/dev/shm/${virtual.slice('posix-shm:/'.length)}`);
      expect(statSync(system ?? '').ino).toBe(inside.ino);
    }
  }
  const [first, second] = await Promise.all(apps.map(mapped));
  expect(virtuals(first!.tables, 'ipc')).toEqual(['msg:51', 'sem:5193', 'shm:19']);
  expect(virtuals(second!.tables, 'ipc')).toContain('posix-shm:/kitchen');
  for (const app of apps) await app.remove();
});

test('address, name and ports lead to its interface, its namespaces and itself', async () => {
  const app = await started(kitchen, 'ports');
  const { tables, rootPid, registered } = await mapped(app);
  const inner = JSON.parse(await within(rootPid, ['net'], ['ip', '-json', 'addr', 'show', 'eth0'])) as {
    link_index: number;
    address: string;
    addr_info: { local: string }[];
  }[];
  expect(tables.of('address').toVirtual(`default:${inner[0]?.link_index}`)).toMatchObject([
    { virtual: inner[0]?.addr_info[0]?.local, also: [inner[0]?.address] },
  ]);
  expect(tables.of('hostname').toVirtual(readlinkSync(`/proc/${rootPid}/ns/uts`))[0]?.virtual).toBe(
    (await within(rootPid, ['uts'], ['hostname'])).trim(),
  );
  const listed = await within(
    rootPid,
    ['net'],
    ['ss', '--no-header', '--numeric', '--listening', '--tcp', '--udp'],
  );
  const bound = listed
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/\s+/))
    .map(([protocol, , , , local]) => `${protocol}:${local?.replace(/^\*:/, '[::]:').replace(/%[^:]*/, '')}`);
  expect(virtuals(tables, 'port')).toEqual([...new Set(bound)].toSorted());
  const reached = { type: 'port' as const, id: `tcp:${app.address}:${kitchen.port}` };
  expect(toVirtual(tables, registered, reached)).toHaveLength(1);
  await app.remove();
});

test('paths lead to the very files, of whatever layer', async () => {
  const volume = join(lab.directory, 'volume');
  mkdirSync(volume);
  const kept = '/srv/kept';
  const options = ['--volume', `${volume}:/vol`, '--link', '/data=/srv/<AID>'];
  const app = await launchTenant(lab, 'paths', { kept, options });
  const words = {
    '/vol/file': 'volume',
    '/data/file': 'link',
    '/tmp/mine': 'own',
    '/dev/shm/word': 'memory',
  };
  for (const [path, word] of Object.entries(words)) await askTenant(lab, app, 'write', path, word);
  const { tables, registered, rootPid } = await mapped(app);
  expect(tables.of('link').toSystem('/data')?.system).toBe(
    join(layout.application(app.aid).upper, 'srv', app.aid),
  );
  expect(tables.of('path').toSystem('/vol')?.system).toBe(volume);
  expect(tables.of('path').toSystem(kept)).toMatchObject({
    system: join(layout.application(app.aid).upper, kept),
  });
  for (const [path, word] of Object.entries({ ...words, '/data/file': 'link' })) {
    const real = path.replace(/^\/data/, `/srv/${app.aid}`);
    const system = registered.places.toMachine(real) ?? '';
    expect([path, readFileSync(system, 'utf8')]).toEqual([path, word]);
    expect(registered.places.toInside(system)).toBe(real);
  }
  // Whatever it has open is at its place, or is no file of this machine. Directories are laid over each other: one of them changes alone.
  const seen = (path: string): unknown[] => {
    const status = statSync(path);
    return status.isDirectory() ? [status.mode] : [status.size, status.mode, status.mtimeMs];
  };
  for (const { virtual, system } of tables.of('path').entries)
    expect([virtual, seen(system ?? '')]).toEqual([virtual, seen(`/proc/${rootPid}/root${virtual}`)]);
  // What this machine has in /tmp is not what the application has there; what was removed inside is nowhere.
  expect(lab.directory).toMatch(/^\/tmp\//);
  expect(registered.places.toMachine(lab.directory)).toBeUndefined();
  expect(registered.places.toMachine('/etc/passwd')).toBe('/etc/passwd');
  await lab.succeed('exec', app.aid, '--', 'rm', '/etc/passwd');
  expect(registered.places.toMachine('/etc/passwd')).toBeUndefined();
  await app.remove();
});

const KERNEL_TYPES = ['pid', 'tid', 'pgid', 'sid', 'ipc', 'fd'] as const;

test('a sleep leaves virtual IDs as they are, and none of the machine’s', async () => {
  const schema = Schema.load(loadEngine(defaultEngineDir()).descriptors);
  for (const program of [kitchen, systemV, threads]) {
    const app = await started(program, `sleeper-${program.name}`);
    const before = await mapped(app);
    // As long as it is held, no other namespace has its number.
    const former = openNamespace(before.rootPid, 'ipc');
    const { snapshot } = await app.sleep();
    await app.kept();
    const directory = layout.snapshot(snapshot);
    const manifest = Manifest.parse(JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')));
    const images = readdirSync(join(directory, 'images'))
      .filter((name) => imageKind(name) !== undefined && !name.startsWith('pagemap-'))
      .map((name) => decodeImage(schema, name, readFileSync(join(directory, 'images', name))));
    const { listening } = manifest.reachable;
    const { address } = manifest.application;
    const asleep = savedTablesOf({ images, address, listening, clocks: manifest.clocks }, before.registered);
    await app.wake();
    const after = await mapped(app);
    close(former);
    for (const type of KERNEL_TYPES) {
      expect(virtuals(after.tables, type)).toEqual(virtuals(before.tables, type));
      const members = virtuals(before.tables, type).filter(
        (id) => !['pid', 'pgid', 'sid'].includes(type) || id !== '1',
      );
      expect(virtuals(asleep, type)).toEqual(members);
      // Files stay where they are.
      const [old, none, young] = [before.tables, asleep, after.tables].map((tables) =>
        systems(tables, type).filter((id) => !id.startsWith('/')),
      );
      expect(young?.filter((id) => old?.includes(id))).toEqual([]);
      expect(none).toEqual([]);
    }
    for (const tables of [asleep, after.tables]) {
      expect(virtuals(tables, 'port')).toEqual(virtuals(before.tables, 'port'));
      expect(virtuals(tables, 'address')).toEqual([app.address]);
      expectBothWays(tables);
    }
    expect(asleep.of('port').toVirtual(`tcp:${app.address}:${program.port}`)).toHaveLength(1);
    expect(systems(after.tables, 'address')).not.toEqual(systems(before.tables, 'address'));
    await app.remove();
  }
});

test('two applications have the same virtual IDs at once, and share none of the machine’s', async () => {
  const apps = [await started(kitchen, 'one'), await started(kitchen, 'two')];
  const [one, two] = [await mapped(apps[0]!), await mapped(apps[1]!)];
  for (const type of KERNEL_TYPES) {
    expect(virtuals(one.tables, type)).toEqual(virtuals(two.tables, type));
    const mine = new Set(systems(one.tables, type));
    expect(systems(two.tables, type).filter((id) => mine.has(id))).toEqual([]);
  }
  // From the machine's side it is certain whose it is.
  for (const { type, system, virtual } of one.tables.entries.filter((entry) => entry.type === 'pid')) {
    const id = system ?? '';
    expect(toVirtual(one.tables, one.registered, { type, id }).map((found) => found.virtual)).toEqual([
      virtual,
    ]);
    expect(toVirtual(two.tables, two.registered, { type, id })).toEqual([]);
  }
  for (const app of apps) await app.remove();
});
