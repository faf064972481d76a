/** Translation tables: one to one whatever is entered, and made from the kernel's view and the registry. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { KernelView, Registered } from '../../src/resources/translation/facts.ts';
import { tablesOf, toSystem, toVirtual, Places, placesOf } from '../../src/resources/translation/index.ts';
import { savedTablesOf } from '../../src/resources/translation/saved.ts';
import { TranslationConflict, TranslationTable } from '../../src/resources/translation/table.ts';
import type { Row } from '../../src/resources/translation/table.ts';

const row = (virtual: string, system: string | null, more: Partial<Row> = {}): Row => ({
  ...{ virtual, system, since: 'allocation' },
  ...more,
});

/** Whether it changed anything: enters, or without a system ID removes. */
const change = (table: TranslationTable, virtual: string, system: string | undefined): boolean => {
  if (system === undefined) return table.remove(virtual);
  try {
    table.insert(row(virtual, system));
    return true;
  } catch (error) {
    if (error instanceof TranslationConflict) return false;
    throw error;
  }
};

describe('a table', () => {
  it('translates both ways, by other names and by objects that several share', () => {
    const table = new TranslationTable('ipc', 'here');
    table.insert(row('shm:19', 'ipc:[1]:shm:19', { also: ['shm:0x00001449'], objects: ['o'] }));
    table.insert(row('sem:19', 'ipc:[1]:sem:19', { objects: ['o', 'p'] }));
    expect(table.toSystem('shm:19')).toMatchObject({ type: 'ipc', node: 'here', system: 'ipc:[1]:shm:19' });
    expect(table.toSystem('shm:0x00001449')?.virtual).toBe('shm:19');
    expect(table.toVirtual('ipc:[1]:sem:19').map(({ virtual }) => virtual)).toEqual(['sem:19']);
    expect(table.toVirtual('o').map(({ virtual }) => virtual)).toEqual(['shm:19', 'sem:19']);
    expect([table.toSystem('shm:20'), table.toVirtual('q')]).toEqual([undefined, []]);
  });

  it.each([
    ['a virtual ID', row('1', '12')],
    ['a system ID', row('2', '11')],
    ['another name', row('2', '12', { also: ['one'] })],
    ['an ID that is a name', row('one', '12')],
  ])('refuses %s that is taken, and stays as it was', (_, second) => {
    const table = new TranslationTable('pid', 'here');
    table.insert(row('1', '11', { also: ['one'] }));
    const before = table.entries;
    expect(() => table.insert(second)).toThrow(TranslationConflict);
    expect(table.entries).toEqual(before);
    expect(table.toVirtual('12')).toEqual([]);
  });

  it('takes any number of entries that have no system side', () => {
    const table = new TranslationTable('pid', 'here');
    for (const virtual of ['1', '2']) table.insert(row(virtual, null));
    expect(table.entries.map(({ system }) => system)).toEqual([null, null]);
  });

  it('stays one to one under any insertions and removals', () => {
    const id = fc.integer({ min: 0, max: 9 }).map(String);
    const step = fc.oneof(
      fc.record({ virtual: id, system: id }),
      fc.record({ virtual: id, system: fc.constant(undefined) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new TranslationTable('pid', 'here');
        const model = new Map<string, string>();
        for (const { virtual, system } of steps) {
          const isTaken = model.has(virtual) || [...model.values()].includes(system ?? '');
          if (system === undefined) model.delete(virtual);
          else if (!isTaken) model.set(virtual, system);
          const result = change(table, virtual, system);
          expect(result).toBe(system === undefined ? isTaken : !isTaken);
        }
        expect(table.entries.map((one) => [one.virtual, one.system])).toEqual([...model]);
        for (const [virtual, system] of model) {
          expect(table.toSystem(virtual)?.system).toBe(system);
          expect(table.toVirtual(system).map((one) => one.virtual)).toEqual([virtual]);
        }
      }),
    );
  });
});

const process = { system: 4711, virtual: 17 };
const view: KernelView = {
  initPid: 4700,
  rootPid: 4711,
  namespace: (type) => `${type}:[40265]`,
  processes: [
    {
      system: 4700,
      virtual: 1,
      name: 'env',
      group: { system: 4700, virtual: 1 },
      session: { system: 1, virtual: 0 },
    },
    { ...process, name: 'web', group: process, session: process },
    { system: 4712, virtual: 18, name: 'worker', group: process, session: process },
  ],
  threads: [
    { ...process, name: 'web', process },
    { system: 4713, virtual: 19, name: 'pool', process },
  ],
  descriptors: [
    { process, fd: 3, target: 'socket:[77]', object: 'socket:[77]', isQueue: false },
    {
      process: { system: 4712, virtual: 18 },
      fd: 5,
      target: 'socket:[77]',
      object: 'socket:[77]',
      isQueue: false,
    },
    { process, fd: 4, target: 'anon_inode:[eventpoll]', object: undefined, isQueue: false },
    { process, fd: 6, target: '/jobs', object: '0:19:5', isQueue: true },
    { process, fd: 7, target: '/gone (deleted)', object: '8:1:6', isQueue: false },
  ],
  workingDirectories: ['/', '/'],
  systemV: [
    { kind: 'shm', id: 19, key: 0x1449 },
    { kind: 'sem', id: 19, key: 0 },
  ],
  bound: [
    { protocol: 'tcp', address: '::', port: 80 },
    { protocol: 'tcp', address: '0.0.0.0', port: 80 },
    { protocol: 'tcp', address: '0.0.0.0', port: 80 },
    { protocol: 'tcp', address: '127.0.0.1', port: 81 },
    { protocol: 'udp', address: '10.10.0.2', port: 53 },
  ],
  clocks: [{ clock: 'monotonic', seconds: -2.5 }],
};

const registered: Registered = {
  node: 'here',
  address: '10.10.0.2',
  mac: '02:a5:0a:0a:00:02',
  hostname: 'web',
  network: 'default',
  link: { index: 12, name: 'asva1' },
  published: [
    { protocol: 'tcp', port: 8080, target: 80 },
    { protocol: 'tcp', port: 8443, target: 443, address: '192.0.2.1' },
  ],
  places: new Places([]),
  volumes: [],
  links: [],
  redirections: [],
};

describe('the tables of what runs', () => {
  const tables = tablesOf(view, registered);
  const sides = (type: Parameters<typeof tables.of>[0]): (string | null)[][] =>
    tables.of(type).entries.map(({ virtual, system }) => [virtual, system]);

  it('have what the PID namespace has', () => {
    expect(sides('pid')).toEqual([
      ['1', '4700'],
      ['17', '4711'],
      ['18', '4712'],
    ]);
    expect(tables.of('pid').entries.map(({ since }) => since)).toEqual([
      'registration',
      'registration',
      'allocation',
    ]);
    expect(sides('tid')).toEqual([
      ['17', '4711'],
      ['19', '4713'],
    ]);
    expect(sides('pgid')).toEqual([
      ['1', '4700'],
      ['17', '4711'],
    ]);
    // The session of the first process was made outside, and has no name in here.
    expect(sides('sid')).toEqual([['17', '4711']]);
  });

  it('have System V objects by ID and by key, and queues once', () => {
    expect(sides('ipc')).toEqual([
      ['shm:19', 'ipc:[40265]:shm:19'],
      ['sem:19', 'ipc:[40265]:sem:19'],
      ['posix-mq:/jobs', 'ipc:[40265]:posix-mq:/jobs'],
    ]);
    expect(tables.of('ipc').toSystem('shm:0x00001449')?.virtual).toBe('shm:19');
    expect(tables.of('ipc').toSystem('sem:0x00000000')).toBeUndefined();
  });

  it('find all descriptors of one object', () => {
    expect(
      toVirtual(tables, registered, { type: 'fd', id: 'socket:[77]' }).map(({ virtual }) => virtual),
    ).toEqual(['17:3', '18:5']);
    expect(toSystem(tables, registered, { type: 'fd', id: '17:4' })).toMatchObject([
      { system: '4711:4', objects: [], note: 'anon_inode:[eventpoll]' },
    ]);
  });

  it('name a port by the address where packets reach it, else by its namespace', () => {
    expect(sides('port')).toEqual([
      ['udp:10.10.0.2:53', 'udp:10.10.0.2:53'],
      ['tcp:0.0.0.0:80', 'tcp:10.10.0.2:80'],
      ['tcp:[::]:80', 'net:[40265]:tcp:[::]:80'],
      ['tcp:127.0.0.1:81', 'net:[40265]:tcp:127.0.0.1:81'],
      ['tcp:10.10.0.2:443', 'tcp:10.10.0.2:443'],
    ]);
    const at = (id: string) => toVirtual(tables, registered, { type: 'port', id });
    expect(at('tcp:8080')).toMatchObject([{ virtual: 'tcp:0.0.0.0:80', note: '' }]);
    expect(at('tcp:192.0.2.1:8443')).toMatchObject([
      { virtual: 'tcp:10.10.0.2:443', note: 'published; nothing listens' },
    ]);
  });

  it('have the address with its interface, the name with its namespace, and the clocks', () => {
    expect(sides('address')).toEqual([['10.10.0.2', 'default:12']]);
    expect(tables.of('address').toSystem('02:a5:0a:0a:00:02')?.objects).toEqual(['asva1']);
    expect(sides('hostname')).toEqual([['web', 'uts:[40265]']]);
    expect(tables.of('clock').entries).toMatchObject([
      { virtual: 'monotonic', note: "2.5 s behind this machine's" },
    ]);
  });

  it('read nothing for types that are not asked for', () => {
    const blind = new Proxy(view, {
      get: (target, key) => {
        if (key !== 'processes' && key !== 'initPid' && key !== 'rootPid') throw new Error(String(key));
        return Reflect.get(target, key) as unknown;
      },
    });
    expect(tablesOf(blind, registered, ['pid']).entries).toHaveLength(3);
  });
});

describe('the tables of what sleeps', () => {
  const asleep = savedTablesOf(
    { images: [], address: '10.10.0.9', listening: view.bound, clocks: { monotonic: '1500000000' } },
    registered,
  );

  it('have ports where packets wake it, and no interface', () => {
    expect(asleep.of('address').entries).toMatchObject([{ virtual: '10.10.0.2', system: null }]);
    expect(asleep.of('port').toVirtual('tcp:10.10.0.2:80')).toMatchObject([{ objects: ['tcp:8080'] }]);
    expect(asleep.of('port').toSystem('tcp:127.0.0.1:81')?.system).toBeNull();
    expect(asleep.of('clock').entries).toMatchObject([{ system: null, note: 'stands at 1.5 s' }]);
  });
});

describe('places', () => {
  const made: string[] = [];
  afterEach(() => {
    for (const path of made.splice(0)) rmSync(path, { recursive: true });
  });

  /** Directories with a file each, and links for what begins with an arrow. */
  const makePlaces = (...paths: string[]) => {
    const base = mkdtempSync(join(tmpdir(), 'appshot-places-'));
    made.push(base);
    for (const path of paths) {
      const [name = '', target] = path.split('->');
      mkdirSync(join(base, name, '..'), { recursive: true });
      if (target === undefined) writeFileSync(join(base, name), '');
      else symlinkSync(target, join(base, name));
    }
    const own = (root: string) => ({
      ...{ upper: join(base, root, 'upper'), shm: join(base, root, 'shm') },
      ...{ shown: join(base, root, 'shown'), log: join(base, root, 'log') },
    });
    const places = placesOf({
      files: own('own'),
      beneath: own('template'),
      volumes: [{ source: join(base, 'volume'), target: '/vol' }],
      shown: ['/tmp/shown'],
      shared: join(base, 'shared'),
    });
    const redirections = [
      { from: '/user', to: '/vol/one' },
      { from: '/same', to: '/.appshot/shared/0' },
    ];
    return { base, places: new Places(places, redirections) };
  };

  it('find the layer that has a path', () => {
    const { base, places } = makePlaces(
      'own/upper/etc/mine',
      'template/upper/etc/mine',
      'template/upper/etc/theirs',
      'own/shown/0/upper/file',
      'own/shm/memory',
      'own/log/web.stdout',
      'volume/one/file',
      'shared/0/file',
    );
    expect(places.toMachine('/')).toBe(join(base, 'own/upper'));
    expect(places.toMachine('/etc/mine')).toBe(join(base, 'own/upper/etc/mine'));
    expect(places.toMachine('/etc/theirs')).toBe(join(base, 'template/upper/etc/theirs'));
    expect(places.toMachine('/etc/passwd')).toBe('/etc/passwd');
    expect(places.toMachine('/tmp/shown/file')).toBe(join(base, 'own/shown/0/upper/file'));
    expect(places.toMachine('/dev/shm/memory')).toBe(join(base, 'own/shm/memory'));
    expect(places.toMachine('/.appshot/log/web.stdout')).toBe(join(base, 'own/log/web.stdout'));
    expect(places.toMachine('/vol/one/file')).toBe(join(base, 'volume/one/file'));
    expect(places.toMachine('/user/file')).toBe(join(base, 'volume/one/file'));
    expect(places.toMachine('/same/file')).toBe(join(base, 'shared/0/file'));
    expect(places.sharedMemory()).toEqual(['memory']);
  });

  it('know what is no file of this machine, or is none', () => {
    const { places } = makePlaces(
      'own/upper/etc/mine',
      'own/upper/way->/etc',
      'own/upper/passwd->/etc/passwd',
    );
    const none = ['/dev/null', '/proc/1/status', '/sys/kernel', '/etc/none', '/way/passwd', '/etc/mine/x'];
    expect(none.filter((path) => places.toMachine(path) !== undefined)).toEqual([]);
    expect(places.toMachine('/passwd')).toMatch(/own\/upper\/passwd$/);
  });

  it('lead back from what is the application’s own, unless something covers it', () => {
    const { base, places } = makePlaces('own/upper/etc/mine', 'own/upper/user/covered', 'volume/one/file');
    expect(places.toInside(join(base, 'own/upper/etc/mine'))).toBe('/etc/mine');
    expect(places.toInside(join(base, 'own/upper'))).toBe('/');
    expect(places.toInside(join(base, 'volume/one/file'))).toBe('/vol/one/file');
    expect(places.toInside(join(base, 'own/upper/user/covered'))).toBeUndefined();
    expect(places.toInside('/etc/passwd')).toBeUndefined();
    expect(places.toInside(join(base, 'volumes'))).toBeUndefined();
  });

  it('give one row to two names of one place', () => {
    const { base, places } = makePlaces('own/upper/a', 'volume/one/file');
    const used = (target: string) => ({ process, fd: 1, target, object: undefined, isQueue: false });
    const descriptors = [used('/vol/one/file'), used('/user/file'), used('/dev/null')];
    const tables = tablesOf({ ...view, descriptors }, { ...registered, places, volumes: ['/vol'] }, ['path']);
    expect(tables.entries.map(({ virtual, also, system }) => [virtual, also, system])).toEqual([
      ['/', [], join(base, 'own/upper')],
      ['/dev/shm', [], join(base, 'own/shm')],
      ['/vol', [], join(base, 'volume')],
      ['/vol/one/file', ['/user/file'], join(base, 'volume/one/file')],
    ]);
    expect(
      toVirtual(tables, { ...registered, places }, { type: 'path', id: join(base, 'own/upper/a') }),
    ).toMatchObject([{ virtual: '/a', note: 'not in use', type: 'path' }]);
    expect(toSystem(tables, { ...registered, places }, { type: 'path', id: '/etc/passwd' })).toMatchObject([
      { system: '/etc/passwd' },
    ]);
    expect(toSystem(tables, { ...registered, places }, { type: 'pid', id: '/etc/passwd' })).toEqual([]);
  });

  it('name where links and redirections lead', () => {
    const { base, places } = makePlaces('own/upper/srv/one/file', 'volume/one/file');
    const links = [
      { path: '/data', target: '/srv/one' },
      { path: '/none', target: '/proc/none' },
    ];
    const redirections = [{ from: '/user', to: '/vol/one' }];
    const tables = tablesOf(view, { ...registered, places, links, redirections }, ['link']);
    expect(tables.entries.map(({ virtual, system, note }) => [virtual, system, note])).toEqual([
      ['/data', join(base, 'own/upper/srv/one'), 'symbolic link to /srv/one'],
      ['/none', null, 'symbolic link to /proc/none'],
      ['/user', join(base, 'volume/one'), 'redirection to /vol/one'],
    ]);
  });
});
