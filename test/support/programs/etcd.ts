import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import type { Place, Program } from './program.ts';

const PORT = 2379;

const client = (at: Place, ...words: string[]): string[] => [
  // The client's own liveness questions would keep the server awake.
  ...[`--endpoints=http://${at.address}:${PORT}`, '--keepalive-time=1h'],
  ...words,
];

export const etcdctl = async (at: Place, ...words: string[]): Promise<string> =>
  (await at.lab.exec('etcdctl', client(at, ...words))).stdout.trim();

/** A server written in Go, with its many threads and timers. */
export const etcd: Program = {
  name: 'etcd',
  port: PORT,
  launch: {
    command: [
      'etcd',
      ...['--data-dir', '/var/lib/appshot-etcd', '--logger', 'zap', '--log-level', 'warn'],
      ...[
        '--listen-client-urls',
        `http://0.0.0.0:${PORT}`,
        '--advertise-client-urls',
        `http://127.0.0.1:${PORT}`,
      ],
    ],
  },
  ready: async (at) => {
    await eventually(() => etcdctl(at, 'put', 'ready', 'yes'), 20_000);
  },
  begin: async (at) => {
    let last = 0;
    await etcdctl(at, 'put', 'count', String(last));
    return {
      goOn: async () => {
        expect(await etcdctl(at, 'get', '--print-value-only', 'count')).toBe(String(last));
        expect(await etcdctl(at, 'put', 'count', String(++last))).toBe('OK');
        expect(await etcdctl(at, 'get', '--print-value-only', 'count')).toBe(String(last));
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    // From the beginning: so it tells of the first change whichever of the two comes first.
    const watcher = await at.lab.talk('etcdctl', client(at, 'watch', '--rev=1', 'news'));
    let sent = 0;
    const check = async (): Promise<void> => {
      const word = `message-${++sent}`;
      await etcdctl(at, 'put', 'news', word);
      await watcher.hear(new RegExp(`^${word}$`));
    };
    await etcdctl(at, 'put', 'news', 'first');
    await watcher.hear(/^first$/);
    return { check, close: watcher.close };
  },
};
