/** What becomes of each resource in a clone. */
import { describe, expect, it } from 'vitest';
import type { TemplateResource } from '../../src/api/index.ts';
import type { DumpSummary, SavedMapping } from '../../src/criu/index.ts';
import { classifyResources } from '../../src/templates/classify/classify.ts';
import type { ClassifyInput } from '../../src/templates/classify/found.ts';
import { heldBy, inputOf, mapping, object, process, socket } from './templates-input.ts';

type Row = Pick<TemplateResource, 'type' | 'name' | 'classes'>;

const classify = (input: ClassifyInput): TemplateResource[] => classifyResources(input);

/** Those of a type, in short. */
const rows = (type: TemplateResource['type'], input: ClassifyInput): [string, string][] =>
  classify(input)
    .filter((one) => one.type === type)
    .map(({ name, classes }: Row) => [name, classes.join(', ')]);

const mapped = (...mappings: readonly SavedMapping[]): Partial<DumpSummary> => ({
  processes: [process(1001, { mappings })],
});

describe('a table of resources', () => {
  it('has the sizes of figure 7, in bytes', () => {
    const input = inputOf({ objects: [object('file', { name: '/tmp/ü', writes: true })] });
    const found = classify(input).find(({ type }) => type === 'file');
    expect(found).toMatchObject({ nameSize: 7, name: '/tmp/ü', rule: null });
    expect(found?.descriptorSize).toBe(Buffer.byteLength(JSON.stringify(found?.data)));
  });

  it('has the same order however the dump was ordered', () => {
    const objects = ['/b', '/a', '/c'].map((name) => object('file', { name }));
    const table = classify(inputOf({ objects }));
    expect(classify(inputOf({ objects: objects.toReversed() }))).toEqual(table);
    expect(table.filter(({ type }) => type === 'file').map(({ name }) => name)).toEqual(['/a', '/b', '/c']);
    expect(table[0]?.type).toBe('aid');
  });

  it('stays short for thousands of mappings', () => {
    const mappings = Array.from({ length: 5000 }, (_, index) => mapping({ layered: index % 2 === 0 }));
    const input = inputOf({ processes: [process(1001, { mappings })] });
    expect(rows('memory', input)).toEqual([
      ['web (1001), beside layers', 'duplicate'],
      ['web (1001), in a layer', 'copy-on-write'],
    ]);
  });
});

describe('what an application is', () => {
  it('is allocated', () => {
    const input = inputOf();
    expect(rows('aid', input)).toEqual([['A1', 'allocate']]);
    expect(rows('address', input)).toEqual([['10.10.0.2', 'allocate']]);
    expect(rows('hostname', input)).toEqual([['web-host', 'allocate']]);
  });

  it('stands in its variables, whose values are not told', () => {
    const spec = { processes: [{ name: 'web', command: ['web'], environment: { SECRET: 'xyzzy' } }] };
    const table = rows('environment', inputOf({}, { spec }));
    expect(table).toContainEqual(['APPSHOT_AID', 'duplicate, allocate']);
    expect(table).toContainEqual(['SECRET', 'duplicate']);
    expect(JSON.stringify(classify(inputOf({}, { spec })))).not.toContain('xyzzy');
  });

  it('has volumes that are the same for all', () => {
    const spec = { volumes: [{ source: '/srv/data', target: '/data' }] };
    const objects = [
      object('file', { name: '/data/a', writes: true }),
      object('file', { name: '/database' }),
    ];
    const input = inputOf({ objects }, { spec });
    expect(rows('volume', input)).toEqual([['/data', 'shared']]);
    expect(rows('file', input)).toEqual([
      ['/data/a', 'shared'],
      ['/database', 'plain'],
    ]);
  });
});

describe('processes and memory', () => {
  it('keep their PIDs, and the chain has its name', () => {
    expect(rows('process', inputOf())).toEqual([
      ['appshot-chain (1000)', 'virtualize'],
      ['web (1001)', 'virtualize'],
      ['web (1002)', 'virtualize'],
    ]);
  });

  it('are counted by what they are', () => {
    const input = inputOf(
      mapped(
        mapping({ kind: 'heap', bytes: 10, layered: true }),
        mapping({ kind: 'stack', bytes: 20, layered: true }),
        mapping({ kind: 'file', path: '/bin/web', bytes: 40, prot: 'rw-' }),
        mapping({ kind: 'file', path: '/bin/web', bytes: 80, prot: 'r-x' }),
        mapping({ kind: 'kernel', bytes: 160 }),
      ),
    );
    const data = classify(input).flatMap((one) => (one.type === 'memory' ? [one.data] : []));
    expect(data).toEqual([
      { pid: 1001, bytes: 40, mappings: 1, files: 40 },
      { pid: 1001, bytes: 30, mappings: 2, heap: 10, stack: 20 },
    ]);
  });

  it('may be shared, with a name and without', () => {
    const nameless = mapping({ kind: 'shared memory', same: 6, bytes: 4096 });
    const input = inputOf({
      processes: [process(1001, { mappings: [nameless] }), process(1002, { mappings: [nameless] })],
      objects: [
        object('memfd', { name: 'memfd:cache', same: 5 }),
        object('file', { name: '/dev/shm/pool', writes: true, ...heldBy(1001, 1002) }),
      ],
      systemV: [
        { kind: 'memory', key: 0xa, id: 1, size: 56 },
        { kind: 'semaphores', key: 0xb, id: 2, size: 3 },
        { kind: 'queue', key: 0xc, id: 3, size: 2 },
      ],
    });
    expect(rows('shared-memory', input)).toEqual([
      ['/dev/shm/pool', 'shared, copy-on-write'],
      ['anonymous, of web (1001)', 'shared, duplicate'],
      ['key 0x0000000a, ID 1', 'shared, duplicate, virtualize'],
      ['memfd:cache', 'shared, duplicate'],
    ]);
    expect(rows('semaphore', input)).toEqual([['key 0x0000000b, ID 2', 'shared, duplicate, virtualize']]);
    expect(rows('message-queue', input)).toEqual([['key 0x0000000c, ID 3', 'shared, duplicate, virtualize']]);
    const data = classify(input).find(({ name }) => name.startsWith('anonymous'))?.data;
    expect(data).toEqual({ bytes: 4096, processes: [1001, 1002] });
  });
});

describe('files', () => {
  it.each([
    ['that is read', { name: '/etc/hosts' }, 'file', 'plain'],
    ['that is written', { name: '/var/db', writes: true }, 'file', 'copy-on-write'],
    [
      'that several write',
      { name: '/var/db', writes: true, ...heldBy(1001, 1002) },
      'file',
      'shared, copy-on-write',
    ],
    ['without a name', { name: '/tmp/gone', writes: true, deleted: true }, 'file', 'duplicate'],
    ['of the kernel', { name: '/proc/self/oom_score_adj', writes: true }, 'file', 'plain'],
    ['that is a log', { name: '/.appshot/log/web.stdout.log', writes: true }, 'log', 'virtualize'],
    ['in shared memory', { name: '/dev/shm/a', writes: true }, 'shared-memory', 'copy-on-write'],
  ] as const)('one %s', (_, more, type, classes) => {
    expect(rows(type, inputOf({ objects: [object('file', more)] }))).toEqual([[more.name, classes]]);
  });

  it('are listed once, whoever has them open or mapped', () => {
    const input = inputOf({
      ...mapped(
        mapping({ kind: 'file', path: '/bin/web', prot: 'r-x' }),
        mapping({ kind: 'file', path: '/bin/web', prot: 'rw-' }),
        mapping({ kind: 'shared file', path: '/var/db' }),
        mapping({ kind: 'file', path: '/dev/zero' }),
      ),
      objects: [object('file', { name: '/bin/web' }), object('device', { name: '/dev/null', writes: true })],
    });
    expect(rows('file', input)).toEqual([
      ['/bin/web', 'plain'],
      ['/var/db', 'shared, copy-on-write'],
    ]);
    expect(rows('device', input)).toEqual([
      ['/dev/null', 'plain'],
      ['/dev/zero', 'plain'],
    ]);
  });

  it('may be directories; what is AppShot’s own is none of them', () => {
    const input = inputOf({
      processes: [process(1001, { workingDirectory: '/srv' }), process(1002, { workingDirectory: '/' })],
      objects: [object('file', { name: '/.appshot/identity.json' })],
    });
    expect(rows('directory', input)).toEqual([
      ['/', 'copy-on-write'],
      ['/srv', 'plain'],
    ]);
    expect(rows('file', input)).toEqual([]);
  });
});

describe('channels', () => {
  it('are duplicated with what waits in them', () => {
    const input = inputOf({
      objects: [
        object('pipe', { same: 1, waiting: 6 }),
        object('pipe', { same: 1, reads: false, writes: true, waiting: 6, ...heldBy(1002) }),
        object('pipe', { same: 2 }),
        object('fifo', { same: 3, name: '/tmp/fifo', writes: true }),
      ],
    });
    expect(rows('pipe', input)).toEqual([
      ['/tmp/fifo', 'duplicate'],
      ['nobody to web (1001) fd 3', 'duplicate'],
      ['web (1002) fd 3 to web (1001) fd 3', 'shared, duplicate'],
    ]);
    expect(classify(input).find(({ name }) => name.startsWith('web (1002) fd'))?.data).toMatchObject({
      waiting: 6,
    });
  });

  it('of terminals have numbers of their own', () => {
    const objects = [object('terminal', { name: '/dev/pts/0', same: 1 })];
    expect(rows('terminal', inputOf({ objects }))).toEqual([['/dev/pts/0', 'duplicate, virtualize']]);
  });

  it('of UNIX sockets are told by their names', () => {
    const input = inputOf({
      objects: [
        socket('unix', '/run/web', '', 'listening'),
        socket('unix', '@web', '', 'unconnected'),
        socket('unix', '/run/web', '', 'established'),
        socket('unix', '', '/run/web', 'established'),
        socket('unix', '', '', 'established', heldBy(1001, 1002)),
      ],
    });
    expect(rows('unix-socket', input)).toEqual([
      ['/run/web', 'duplicate, virtualize'],
      ['@web', 'duplicate, virtualize'],
      ['connections to /run/web', 'duplicate'],
      ['unnamed, of web (1001)', 'shared, duplicate'],
    ]);
  });

  it('without a name are counted', () => {
    const input = inputOf({
      objects: [
        object('epoll'),
        object('epoll'),
        object('netlink socket'),
        object('unknown'),
        socket('udp', '', '', 'unconnected'),
        socket('tcp', '10.10.0.2:0', '10.10.0.1:0', 'closed'),
      ],
    });
    expect(rows('kernel-object', input)).toEqual([
      ['epoll of web (1001)', 'duplicate'],
      ['unknown of web (1001)', 'duplicate'],
    ]);
    expect(rows('socket', input).map(([name]) => name)).toEqual([
      'netlink socket of web (1001)',
      'tcp of web (1001)',
      'udp of web (1001)',
    ]);
    expect(rows('connection', input)).toEqual([]);
  });
});

describe('the network', () => {
  it('knows ports, unless they are for the application itself', () => {
    const input = inputOf({
      objects: [
        socket('tcp', '0.0.0.0:80', '', 'listening'),
        socket('tcp', '[::]:80', '', 'listening'),
        socket('tcp', '127.0.0.1:6060', '', 'listening'),
        socket('tcp', '[::1]:6060', '', 'listening'),
        socket('udp', '0.0.0.0:53', '', 'unconnected'),
      ],
    });
    expect(rows('port', input)).toEqual([
      ['tcp 6060', 'virtualize'],
      ['tcp 80', 'multiplex'],
      ['udp 53', 'multiplex'],
    ]);
    expect(classify(input).find(({ name }) => name === 'tcp 80')?.data['addresses']).toEqual([
      '0.0.0.0',
      '::',
    ]);
  });

  it('knows connections, once each', () => {
    const reachable = {
      connections: [
        { localPort: 80, remote: '10.10.0.1', remotePort: 4000 },
        { localPort: 80, remote: '2001:db8::1', remotePort: 4001 },
      ],
    };
    const input = inputOf(
      {
        objects: [
          socket('tcp', '10.10.0.2:80', '10.10.0.1:4000', 'established'),
          socket('tcp', '127.0.0.1:6060', '127.0.0.1:5000', 'established'),
          socket('tcp', '127.0.0.1:5000', '127.0.0.1:6060', 'established', heldBy(1002)),
          socket('tcp', '10.10.0.2:80', '10.10.0.2:5001', 'close-wait'),
        ],
      },
      { reachable },
    );
    expect(rows('connection', input)).toEqual([
      ['tcp 10.10.0.2:5001 - 10.10.0.2:80', 'duplicate, virtualize'],
      ['tcp 127.0.0.1:5000 - 127.0.0.1:6060', 'shared, duplicate, virtualize'],
      ['tcp 80 - 10.10.0.1:4000', 'virtualize'],
      ['tcp 80 - [2001:db8::1]:4001', 'virtualize'],
    ]);
  });
});
