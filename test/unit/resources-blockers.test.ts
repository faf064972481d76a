import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judge } from '../../src/resources/blockers.ts';
import { KINDS } from '../../src/resources/detectors/finding.ts';
import type { DescriptorFacts, MappedFacts, ProcessFacts, SocketFacts } from '../../src/resources/facts.ts';
import {
  ROOT,
  application,
  descriptor,
  device,
  inet,
  mapped,
  mount,
  process,
  socketTables,
  unix,
} from './resources-facts.ts';

const GIB = 1 << 30;
const MQUEUE = 0x19800202;
const TMPFS = 0x01021994;

const kinds = (...parameters: Parameters<typeof application>): string[] =>
  judge(application(...parameters)).map(({ kind }) => kind);
const ofDescriptor = (facts: DescriptorFacts): string[] => kinds([process({ descriptors: [facts] })]);
const ofMapping = (facts: MappedFacts): string[] => kinds([process({ mapped: [facts] })]);
const ofSocket = (sockets: SocketFacts, ...held: number[]): string[] =>
  kinds(
    [process({ descriptors: held.map((inode) => descriptor(`socket:[${inode}]`, { type: 'socket' })) })],
    { sockets },
  );

describe('kernel objects', () => {
  it.each(['eventfd', 'eventpoll', 'signalfd', 'timerfd', 'fanotify'])('lets %s pass', (name) => {
    expect(ofDescriptor(descriptor(`anon_inode:[${name}]`))).toEqual([]);
  });

  it.each([
    ['anon_inode:[io_uring]', 'io_uring'],
    ['anon_inode:[perf_event]', 'perf_event'],
    ['anon_inode:[userfaultfd]', 'userfaultfd'],
    ['anon_inode:bpf-map', 'bpf'],
    ['anon_inode:btf', 'bpf'],
    ['anon_inode:kvm-vm', 'kvm'],
    ['anon_inode:seccomp notify', 'seccomp'],
    ['anon_inode:landlock-ruleset', 'kernel-object'],
    ['/dmabuf:video', 'device'],
    ['strange', 'kernel-object'],
  ])('names %s', (target, kind) => {
    expect(
      ofDescriptor(descriptor(target, target.startsWith('/') ? { mount: 9, fileSystem: 1 } : {})),
    ).toEqual([kind]);
  });

  it('names one that is only mapped, and once when it is held too', () => {
    const ring = 'anon_inode:[io_uring]';
    expect(ofMapping(mapped(ring, { type: 'other' }))).toEqual(['io_uring']);
    expect(kinds([process({ descriptors: [descriptor(ring)], mapped: [mapped(ring)] })])).toEqual([
      'io_uring',
    ]);
  });

  it('lets descriptors of its own and of ended processes pass, not of others or of threads', () => {
    const pidfd = (pid: number, flags = 0): string[] =>
      ofDescriptor(descriptor('anon_inode:[pidfd]', { info: [`Pid:\t${pid}`], flags }));
    expect([pidfd(ROOT), pidfd(-1), pidfd(77), pidfd(ROOT, 0o200)]).toEqual([[], [], ['pidfd'], ['pidfd']]);
  });
});

describe('files', () => {
  it.each([
    ['a file', descriptor('/srv/data')],
    ['a small deleted file', descriptor('/tmp/x (deleted)', { links: 0, bytes: 4096 })],
    ['a large file with a name', descriptor('/tmp/x', { bytes: GIB })],
    [
      'anonymous shared memory',
      descriptor('/memfd:cache (deleted)', { mount: 9, fileSystem: TMPFS, links: 0, bytes: GIB }),
    ],
  ])('lets %s pass', (_name, facts) => {
    expect(ofDescriptor(facts)).toEqual([]);
  });

  it('names what lies outside, is covered, or too large to travel', () => {
    expect(ofDescriptor(descriptor('/outside', { mount: 9 }))).toEqual(['mount']);
    expect(ofDescriptor(descriptor('/queue', { mount: 9, fileSystem: MQUEUE }))).toEqual(['message-queue']);
    expect(ofDescriptor(descriptor('/tmp/x (deleted)', { links: 0, bytes: GIB }))).toEqual(['deleted-file']);
    expect(ofMapping(mapped('/tmp/x (deleted)', { links: 0, bytes: GIB }))).toEqual(['deleted-file']);
    expect(ofMapping(mapped('/dev/zero (deleted)', { links: 0, bytes: GIB }))).toEqual([]);
    const covered = [mount(), mount({ id: 51, parent: 50 })];
    expect(kinds([process({ descriptors: [descriptor('/run/x')] })], { mounts: covered })).toEqual(['mount']);
  });

  it('names secret memory once, mapped or held', () => {
    const target = '/secretmem (deleted)';
    const held = descriptor(target, { mount: 9, fileSystem: 0x5345434d });
    expect(kinds([process({ descriptors: [held], mapped: [mapped(target)] })])).toEqual(['secret-memory']);
  });

  it('names watches on an overlay that cannot open handles', () => {
    const watch = descriptor('anon_inode:inotify', {
      info: ['inotify wd:1 ino:2188a0 sdev:27 mask:100 fhandle-type:f8'],
    });
    const among = (...options: string[]): string[] =>
      kinds([process({ descriptors: [watch] })], { mounts: [mount({ options })] });
    expect([among('rw', 'nfs_export=on'), among('rw')]).toEqual([[], ['watch']]);
    expect(
      kinds([process({ descriptors: [watch] })], { mounts: [mount({ type: 'tmpfs', options: [] })] }),
    ).toEqual([]);
  });
});

describe('devices and terminals', () => {
  it.each([
    ['/dev/null', 1, 3],
    ['/dev/zero', 1, 5],
    ['/dev/full', 1, 7],
    ['/dev/urandom', 1, 9],
    ['/dev/tty', 5, 0],
    ['/dev/ptmx', 5, 2],
  ])('lets %s pass', (path, major, minor) => {
    expect(ofDescriptor(device(path, major, minor))).toEqual([]);
  });

  it.each([
    ['/dev/mem', 1, 1],
    ['/dev/fuse', 10, 229],
    ['/dev/net/tun', 10, 200],
    ['/dev/dri/card0', 226, 0],
    ['/dev/nvidia0', 195, 0],
    ['/dev/ttyS0', 4, 64],
  ])('names %s', (path, major, minor) => {
    expect(ofDescriptor(device(path, major, minor))).toEqual(['device']);
  });

  it('names block devices, and devices that are mapped', () => {
    expect(ofDescriptor(device('/dev/vda', 254, 0, { type: 'block' }))).toEqual(['device']);
    expect(ofMapping(mapped('/dev/zero', { type: 'character', major: 1, minor: 5 }))).toEqual([]);
    expect(ofMapping(mapped('/dev/null', { type: 'character', major: 1, minor: 3 }))).toEqual(['device']);
  });

  it('wants both ends of a terminal, or none', () => {
    const master = device('/dev/ptmx', 5, 2, { info: ['tty-index:\t4'] });
    const slave = device('/dev/pts/4', 136, 4);
    const child = process({ systemPid: 1001, systemParent: ROOT, pid: 3, descriptors: [slave] });
    expect(kinds([process(), child])).toEqual(['terminal']);
    expect(kinds([process({ descriptors: [master] }), child])).toEqual([]);
    expect(ofDescriptor(device('/dev/pts/4 (deleted)', 136, 4))).toEqual([]);
  });
});

describe('sockets and pipes', () => {
  it('lets connections to anywhere and both ends of a Unix connection pass', () => {
    const pair = [unix(5, { peer: 6 }), unix(6, { peer: 5 })];
    const tables = socketTables({
      tcp: [inet(7), inet(8, { state: 'LISTEN' })],
      unix: pair,
      netlink: [[9, 0]],
    });
    expect(ofSocket(tables, 5, 6, 7, 8, 9)).toEqual([]);
  });

  it('names a Unix socket whose other end is outside', () => {
    const tables = socketTables({ unix: [unix(5, { peer: 6 }), unix(6, { peer: 5, path: '/run/bus' })] });
    expect(ofSocket(tables, 5)).toEqual(['unix-socket']);
    const [found] = judge(
      application([process({ descriptors: [descriptor('socket:[5]')] })], { sockets: tables }),
    );
    expect(found).toMatchObject({
      pid: 2,
      process: 'server',
      what: 'the Unix socket, connected to /run/bus',
    });
  });

  it('wants a way to reach the socket that another sends to', () => {
    const sender = unix(5, { type: 'datagram', peer: 6 });
    expect(ofSocket(socketTables({ unix: [sender, unix(6, { type: 'datagram' })] }), 5, 6)).toEqual([
      'unix-socket',
    ]);
    expect(
      ofSocket(socketTables({ unix: [sender, unix(6, { type: 'datagram', path: '/run/log' })] }), 5, 6),
    ).toEqual([]);
  });

  it('calls what passes by itself in flight', () => {
    expect(ofSocket(socketTables({ tcp: [inet(5, { state: 'LISTEN', receiveQueue: 1 })] }), 5)).toEqual([
      'in-flight',
    ]);
    expect(ofSocket(socketTables({ unix: [unix(5, { peer: 0, sendQueue: 9 })] }), 5)).toEqual(['in-flight']);
    expect(ofSocket(socketTables({ unix: [unix(5, { peer: 0 })] }), 5)).toEqual([]);
    expect(ofSocket(socketTables({ netlink: [[5, 100]] }), 5)).toEqual(['netlink']);
  });

  it.each([
    ['TCP', []],
    ['RAW', []],
    ['PACKET', []],
    ['MPTCP', ['socket']],
    ['SCTP', ['socket']],
    ['ALG', ['socket']],
    ['AF_VSOCK', ['socket']],
    ['UNIX-STREAM', ['unix-socket']],
  ])('judges a socket that no table lists by its protocol: %s', (protocol, expected) => {
    expect(ofSocket(socketTables({ unlisted: [[5, protocol]] }), 5)).toEqual(expected);
  });

  it('names pipes of packets', () => {
    expect(ofDescriptor(descriptor('pipe:[9]', { flags: 0o40001 }))).toEqual(['pipe']);
    expect(ofDescriptor(descriptor('pipe:[9]', { flags: 0o1 }))).toEqual([]);
  });
});

describe('processes', () => {
  it.each<[string, Partial<ProcessFacts>, string[]]>([
    ['under a debugger', { tracer: 9 }, ['debugger']],
    ['of a session of outside', { session: 0 }, ['session']],
    ['whose main thread ended', { state: 'Z', threads: 2 }, ['threads']],
    ['that ended', { state: 'Z', threads: 1, session: 0, namespaces: {} }, []],
    ['that is stopped', { state: 'T' }, []],
    ['with a namespace of its own', { namespaces: { uts: 'uts:[9]' } }, ['namespace']],
    ['with another clock for its children', { namespaces: { time_for_children: 'time:[9]' } }, ['namespace']],
    ['that holds its own namespace', { descriptors: [descriptor('net:[3]')] }, []],
    ['that holds a foreign namespace', { descriptors: [descriptor('net:[99]')] }, ['namespace']],
  ])('%s', (_name, given, expected) => {
    const child = process({ systemPid: 1001, systemParent: ROOT, pid: 3, ...given });
    expect(kinds([process(), child])).toEqual(expected);
  });

  it('names those that do not descend from the first one, and nothing of what they hold', () => {
    const session = process({
      systemPid: 2000,
      systemParent: 1,
      pid: 9,
      descriptors: [descriptor('anon_inode:[io_uring]')],
      mapped: [mapped('/usr/bin/bash')],
    });
    const below = process({
      systemPid: 2001,
      systemParent: 2000,
      pid: 10,
      mapped: [mapped('/usr/bin/bash')],
    });
    expect(judge(application([process(), session, below]))).toMatchObject([
      { kind: 'exec', pid: 9 },
      { kind: 'exec', pid: 10 },
    ]);
  });

  it('passes over one that is just ending, and has no memory any more', () => {
    expect(judge(application([process(), process({ systemPid: 2000, systemParent: 1, pid: 9 })]))).toEqual(
      [],
    );
  });

  it('ends when the tree shows a loop', () => {
    const one = process({ systemPid: 2000, systemParent: 2001, mapped: [mapped('/usr/bin/bash')] });
    expect(kinds([process(), one, { ...one, systemPid: 2001, systemParent: 2000 }])).toEqual([
      'exec',
      'exec',
    ]);
  });
});

describe('docs/check.md', () => {
  it('explains every kind, in the same order', () => {
    const text = readFileSync(new URL('../../docs/check.md', import.meta.url), 'utf8');
    expect([...text.matchAll(/^\| `([a-z_-]+)`/gm)].map(([, kind]) => kind)).toEqual([...KINDS]);
  });
});
