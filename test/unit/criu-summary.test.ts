/** Dumps in plain words. */
import { describe, expect, it } from 'vitest';
import { describeImages } from '../../src/criu/index.ts';
import type { DumpSummary, Fields, Image, SavedMapping, SavedSocket } from '../../src/criu/index.ts';

const image = (name: string, ...messages: Fields[]): Image => ({
  name,
  magics: [],
  entries: messages.map((message) => ({ message })),
});

const text = (value: string): Buffer => Buffer.from(value);

const dumpOf = (
  files: readonly Fields[],
  fds: readonly Fields[] = [],
  vmas: readonly Fields[] = [],
): Image[] => [
  image('pstree.img', { pid: 7, ppid: 1, threads: [7, 8, 9] }),
  image('core-7.img', { tc: { comm: 'worker' } }),
  image('ids-7.img', { filesId: 3 }),
  image('mm-7.img', { vmas }),
  image('fdinfo-3.img', ...fds),
  image('files.img', ...files),
  image('memfd.img', { name: 'shared', inodeId: 5n }, { name: '/dev/zero', inodeId: 6n }),
];

const mappingOf = (files: readonly Fields[], mapping: Fields): SavedMapping | undefined =>
  describeImages(
    dumpOf(files, [], [{ start: 0x1000n, end: 0x3000n, prot: 3, flags: 2, shmid: 0n, ...mapping }]),
  ).processes[0]?.mappings[0];

const descriptorsOf = (...files: readonly Fields[]): unknown => {
  const numbered = files.map((file, index) => ({ id: index + 1, ...file }));
  const fds = files.map((_, index) => ({ fd: index, id: index + 1 }));
  return describeImages(dumpOf(numbered, fds.toReversed())).processes[0]?.descriptors.map(({ what }) => what);
};

const socketOf = (socket: Fields): SavedSocket | undefined =>
  describeImages(dumpOf([{ id: 1, isk: { type: 1, proto: 6, state: 1, ...socket } }])).sockets[0];

describe('a dump', () => {
  it('has processes with their names, parents and threads', () => {
    expect(describeImages(dumpOf([])).processes).toMatchObject([
      { pid: 7, parent: 1, name: 'worker', threads: 3, mappings: [], descriptors: [] },
    ]);
  });

  it('may have a process that has ended, of which little is saved', () => {
    const images = [
      image('pstree.img', { pid: 7, ppid: 1, threads: [7] }),
      image('core-7.img', { tc: { comm: 'a' } }),
    ];
    expect(describeImages(images)).toEqual({
      processes: [
        { pid: 7, parent: 1, name: 'a', threads: 1, workingDirectory: '', mappings: [], descriptors: [] },
      ],
      sockets: [],
      objects: [],
      locks: [],
      systemV: [],
    });
  });
});

describe('a mapping', () => {
  const files = [
    { id: 1, reg: { name: '/usr/bin/node' } },
    { id: 2, memfd: { inodeId: 5 } },
    { id: 3, memfd: { inodeId: 6 } },
    { id: 4, reg: { name: '/.appshot/memory/0123' } },
  ];

  it('has addresses, size and protection', () => {
    expect(
      mappingOf([], { start: 0x7f00_0000_1000n, end: 0x7f00_0000_3000n, prot: 5, status: 0x201 }),
    ).toEqual({
      start: '7f0000001000',
      end: '7f0000003000',
      bytes: 0x2000,
      prot: 'r-x',
      kind: 'anonymous',
      path: '',
      layered: false,
      same: 0,
    });
  });

  it.each([
    ['a layer', { status: 0x41, shmid: 4n }, { layered: true, same: 0 }],
    ['another file', { status: 0x41, shmid: 1n }, { layered: false, same: 0 }],
    ['a file in memory', { status: 0x4081, shmid: 2n }, { layered: false, same: 5 }],
    ['memory for all', { status: 0x4081, shmid: 3n }, { layered: false, same: 6 }],
    ['a System V segment', { status: 0x501, shmid: 9n }, { layered: false, same: 9 }],
  ])('of %s says what it has in common with others', (_, mapping, expected) => {
    expect(mappingOf(files, mapping)).toMatchObject(expected);
  });

  it.each([
    ['private memory', { status: 0x201 }, 'anonymous', ''],
    ['the heap', { status: 0x221 }, 'heap', ''],
    ['a stack', { status: 0x201, flags: 0x122 }, 'stack', ''],
    ["the kernel's", { status: 0x209 }, 'kernel', ''],
    ["the kernel's data", { status: 0x1201 }, 'kernel', ''],
    [
      'the vsyscall page',
      { status: 0x204, start: 0xffffffffff600000n, end: 0xffffffffff601000n },
      'kernel',
      '',
    ],
    ['a file', { status: 0x41, shmid: 1n }, 'file', '/usr/bin/node'],
    ['a file for all', { status: 0x81, shmid: 1n, flags: 1 }, 'shared file', '/usr/bin/node'],
    ['a file in memory', { status: 0x4081, shmid: 2n, flags: 1 }, 'shared file', 'memfd:shared'],
    ['memory for all', { status: 0x4081, shmid: 3n, flags: 1 }, 'shared memory', ''],
    ['a System V segment', { status: 0x501, shmid: 1n, flags: 0x21 }, 'system v', ''],
    ['memory kept in a layer', { status: 0x41, shmid: 4n }, 'anonymous', ''],
    ['a stack kept in a layer', { status: 0x41, shmid: 4n, flags: 0x102 }, 'stack', ''],
    ['the heap kept in a layer', { status: 0x61, shmid: 4n }, 'heap', ''],
    ['something else', { status: 1 }, 'other', ''],
  ])('of %s is called so', (_, mapping, kind, path) => {
    expect(mappingOf(files, mapping)).toMatchObject({ kind, path });
  });
});

describe('a descriptor', () => {
  it('is a path, or what it is', () => {
    expect(
      descriptorsOf(
        { reg: { name: '/dev/null' } },
        { memfd: { inodeId: 5 } },
        { pipe: { pipeId: 1, flags: 0 } },
        { pipe: { pipeId: 1, flags: 0o4001 } },
        { fifo: { regfId: 1 } },
        { epfd: {} },
        { tfd: {} },
        { tty: {} },
        { isk: { type: 1, proto: 6, state: 10, srcAddr: [0], srcPort: 80, dstAddr: [0], dstPort: 0 } },
        {},
      ),
    ).toEqual([
      '/dev/null',
      'memfd:shared',
      'pipe to read',
      'pipe to write',
      'fifo /dev/null',
      'epoll',
      'timerfd',
      'terminal',
      'tcp 0.0.0.0:80 listening',
      'unknown',
    ]);
  });

  it('may name a file that was not saved', () => {
    expect(describeImages(dumpOf([], [{ fd: 1, id: 9 }])).processes[0]?.descriptors).toEqual([
      { fd: 1, what: 'unknown' },
    ]);
  });
});

describe('a socket', () => {
  const word = (address: string): number => Buffer.from(address.split('.').map(Number)).readUInt32LE(0);

  it.each([
    [[word('10.10.0.2')], [word('10.10.0.1')], '10.10.0.2:80', '10.10.0.1:9'],
    [[0, 0, 0xffff0000, word('10.10.0.2')], [0, 0, 0xffff0000, word('1.2.3.4')], '10.10.0.2:80', '1.2.3.4:9'],
    [[0, 0, 0, 0x01000000], [0xb80d0120, 0, 0, 0x01000000], '[::1]:80', '[2001:db8::1]:9'],
    [[], [1, 2, 3], 'unknown:80', 'unknown:9'],
  ])('has the addresses %j and %j', (srcAddr, dstAddr, local, remote) => {
    expect(socketOf({ srcAddr, dstAddr, srcPort: 80, dstPort: 9 })).toEqual({
      protocol: 'tcp',
      local,
      remote,
      state: 'established',
    });
  });

  it('has no other end when it has no peer', () => {
    const socket = { proto: 17, type: 2, state: 7, srcAddr: [0], srcPort: 53, dstAddr: [0], dstPort: 0 };
    expect(socketOf(socket)).toEqual({
      protocol: 'udp',
      local: '0.0.0.0:53',
      remote: '',
      state: 'unconnected',
    });
    expect(socketOf({ ...socket, proto: 200, state: 99 })).toMatchObject({
      protocol: 'protocol 200',
      state: 'state 99',
    });
  });

  it('of UNIX has names, and its peer has', () => {
    const [listener, near, far] = [
      { id: 1, usk: { ino: 1, peer: 0, type: 1, state: 10, name: text('/run/a\0') } },
      { id: 2, usk: { ino: 2, peer: 3, type: 1, state: 1, name: text('\0abstract') } },
      { id: 3, usk: { ino: 3, peer: 2, type: 1, state: 1, name: text('') } },
    ];
    expect(describeImages(dumpOf([listener, near, far] as Fields[])).sockets).toEqual([
      { protocol: 'unix', local: '/run/a', remote: '', state: 'listening' },
      { protocol: 'unix', local: '@abstract', remote: '', state: 'established' },
      { protocol: 'unix', local: '', remote: '@abstract', state: 'established' },
    ]);
  });
});

describe('what processes hold', () => {
  const holding = (files: readonly Fields[], more: readonly Image[] = []): DumpSummary => {
    const fds = files.map(({ id }, index) => ({ fd: index, id }));
    return describeImages([...dumpOf(files, fds), ...more]);
  };

  it('is listed once, with all who hold it', () => {
    const images = [
      image('pstree.img', { pid: 7, threads: [7] }, { pid: 8, threads: [8] }),
      ...[7, 8].map((pid) => image(`ids-${pid}.img`, { filesId: pid })),
      image('fdinfo-7.img', { fd: 3, id: 1 }, { fd: 4, id: 1 }),
      image('fdinfo-8.img', { fd: 5, id: 1 }),
      image('files.img', { id: 1, reg: { name: '/etc/hosts', mode: 0o100644 } }),
    ];
    expect(describeImages(images).objects).toEqual([
      {
        kind: 'file',
        name: '/etc/hosts',
        same: 0,
        reads: true,
        writes: false,
        deleted: false,
        holders: [
          { pid: 7, fd: 3 },
          { pid: 7, fd: 4 },
          { pid: 8, fd: 5 },
        ],
        waiting: 0,
      },
    ]);
  });

  it.each([
    [
      'a file to read',
      { reg: { name: '/a', mode: 0o100644, flags: 0o100000 } },
      { kind: 'file', reads: true, writes: false },
    ],
    [
      'a file to write',
      { reg: { name: '/a', mode: 0o100644, flags: 1 } },
      { kind: 'file', reads: false, writes: true },
    ],
    ['a directory', { reg: { name: '/a', mode: 0o040755 } }, { kind: 'directory' }],
    ['a character device', { reg: { name: '/dev/a', mode: 0o020666 } }, { kind: 'device', name: '/dev/a' }],
    ['a block device', { reg: { name: '/dev/a', mode: 0o060666 } }, { kind: 'device' }],
    [
      'memory',
      { memfd: { inodeId: 5, flags: 2 } },
      { kind: 'memfd', name: 'memfd:shared', same: 5, writes: true },
    ],
    [
      'the end of a pipe',
      { pipe: { pipeId: 4, flags: 1 } },
      { kind: 'pipe', same: 4, reads: false, writes: true },
    ],
    ['an epoll', { epfd: {} }, { kind: 'epoll', name: '' }],
    ['a network device', { tunf: {} }, { kind: 'tun device' }],
  ] as const)('may be %s', (_, file, expected) => {
    expect(holding([{ id: 1, ...file }]).objects).toMatchObject([expected]);
  });

  it('may have its name elsewhere', () => {
    const files = [
      { id: 1, reg: { name: '/tmp/fifo', flags: 2 } },
      { id: 2, fifo: { pipeId: 4, regfId: 1 } },
      { id: 3, reg: { name: '/dev/pts/0', flags: 2 } },
      { id: 4, tty: { ttyInfoId: 6, regfId: 3, flags: 2 } },
    ];
    expect(holding(files).objects.filter(({ kind }) => kind !== 'file')).toMatchObject([
      { kind: 'fifo', name: '/tmp/fifo', same: 4, reads: true, writes: true },
      { kind: 'terminal', name: '/dev/pts/0', same: 6 },
    ]);
  });

  it('may be without a name, hold data, or be under way itself', () => {
    const files = [
      { id: 1, reg: { name: '/a' } },
      { id: 2, pipe: { pipeId: 4 } },
      { id: 3, usk: { ino: 1, peer: 0, type: 1, state: 1, name: text('') } },
      { id: 4, reg: { name: '/passed' } },
    ];
    const { objects } = describeImages([
      ...dumpOf(
        files,
        [1, 2, 3].map((id) => ({ fd: id, id })),
      ),
      image('remap-fpath.img', { origId: 1, remapId: 9 }),
      image('pipes-data.img', { pipeId: 4, bytes: 6 }),
      image(
        'sk-queues.img',
        { idFor: 3, length: 2, scm: [{ type: 1, rights: [4] }] },
        { idFor: 3, length: 3 },
      ),
    ] as Image[]);
    expect(objects).toMatchObject([
      { name: '/a', deleted: true },
      { kind: 'pipe', waiting: 6 },
      { kind: 'socket', socket: { protocol: 'unix' }, waiting: 5 },
      { name: '/passed', holders: [] },
    ]);
  });

  it('may be locked', () => {
    const lock = (flag: number, type: number): Fields => ({ flag, type, pid: 7, fd: 0 });
    const locks = image('filelocks.img', lock(2, 1), lock(1, 0), lock(32, 1));
    expect(holding([{ id: 1, reg: { name: '/a' } }], [locks]).locks).toEqual([
      { pid: 7, path: '/a', kind: 'flock', exclusive: true },
      { pid: 7, path: '/a', kind: 'range', exclusive: false },
      { pid: 7, path: '/a', kind: 'lease', exclusive: true },
    ]);
  });

  it('is also of System V, with nobody who holds it', () => {
    const desc = { key: 5, id: 6 };
    const more = [
      image('ipcns-shm-9.img', { desc, size: 4096n }),
      image('ipcns-sem-9.img', { desc, nsems: 3 }),
      image('ipcns-msg-9.img', { desc, qnum: 1 }, { mtype: 1n, msize: 9 }),
    ];
    expect(holding([], more).systemV).toEqual([
      { kind: 'memory', key: 5, id: 6, size: 4096 },
      { kind: 'semaphores', key: 5, id: 6, size: 3 },
      { kind: 'queue', key: 5, id: 6, size: 1 },
    ]);
  });
});
