import { describe, expect, it } from 'vitest';
import { holdingsOf } from '../../src/resources/holdings.ts';
import {
  ROOT,
  application,
  descriptor,
  device,
  inet,
  mapped,
  process,
  socketTables,
  unix,
} from './resources-facts.ts';

const MIB = 1 << 20;
const socket = (inode: number) => descriptor(`socket:[${inode}]`, { type: 'socket' });

describe('holdingsOf', () => {
  it('says what each process holds, in words', () => {
    const first = process({
      rss: 3 * MIB,
      memory: { anonymous: 2 * MIB, file: MIB, shared: 0 },
      threads: 4,
      descriptors: [
        descriptor('/srv/data', { info: ['lock:\t1: POSIX  ADVISORY  WRITE 1000 fe:00:12 4 5'] }),
        descriptor('/tmp/gone (deleted)', { links: 0, bytes: 8192 }),
        descriptor('/dev/shm/area'),
        descriptor('/srv', { type: 'directory' }),
        device('/dev/null', 1, 3),
        device('/dev/pts/0', 136, 0),
        descriptor('pipe:[77]'),
        descriptor('anon_inode:[eventpoll]', { fd: 7 }),
        descriptor('anon_inode:inotify', {
          fd: 8,
          info: ['inotify wd:1 ino:1 sdev:27', 'inotify wd:2 ino:2 sdev:27'],
        }),
        socket(1),
        socket(2),
        socket(3),
        socket(4),
        socket(99),
      ],
      mapped: [mapped('/usr/lib/libc.so'), mapped('/dev/shm/area')],
      timers: [{ id: 0, clock: 1 }],
    });
    const second = process({
      systemPid: 1001,
      systemParent: ROOT,
      pid: 3,
      name: 'worker',
      descriptors: [socket(5)],
    });
    const sockets = socketTables({
      tcp: [
        inet(1, { state: 'LISTEN', localAddress: '::', remotePort: 0 }),
        inet(2, { state: 'CLOSE_WAIT' }),
      ],
      udp: [inet(3, { state: 'CLOSE', localPort: 53, remotePort: 0 })],
      unix: [unix(4, { peer: 5, path: '/run/a.sock' }), unix(5, { peer: 4 })],
    });
    const rows = holdingsOf(application([first, second], { sockets }));
    expect(rows.map(({ pid, kind, description }) => `${pid} ${kind}: ${description}`)).toEqual([
      '2 memory: 3 MiB in use: 2 MiB of its own, 1 MiB of files, 0 B shared',
      '2 threads: 4',
      '2 file: /srv/data',
      '2 deleted-file: /tmp/gone, 8 KiB',
      '2 posix-shared-memory: /dev/shm/area',
      '2 directory: /srv',
      '2 device: /dev/null',
      '2 terminal: /dev/pts/0',
      '2 pipe: pipe:[77]',
      '2 epoll: descriptor 7',
      '2 inotify: descriptor 8, watching 2',
      '2 tcp-socket: [::]:80, listening',
      '2 tcp-socket: 10.0.0.2:80 - 10.0.0.1:4000, close wait',
      '2 udp-socket: 10.0.0.2:53',
      '2 unix-socket: /run/a.sock, stream, connected to worker (3)',
      '2 socket: closed meanwhile',
      '2 lock: POSIX write lock of /srv/data, bytes 4 to 5',
      '2 posix-timer: ID 0, monotonic',
      '3 memory: 0 B in use: 0 B of its own, 0 B of files, 0 B shared',
      '3 threads: 1',
      '3 unix-socket: without a path, stream, connected to /run/a.sock of server (2)',
    ]);
  });
});
