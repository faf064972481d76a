import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { curlJson, fixture, openHttp } from './program.ts';
import type { Program } from './program.ts';

const PORT = 8082;
/** Seconds for which the server keeps a connection that says nothing. */
const IDLE_INTERVAL = 3600;

interface Count {
  readonly count: number;
  readonly sum: number;
  readonly ticks: number;
  readonly identity: number;
}

const sumUpTo = (count: number): number => (count * (count + 1)) / 2;

/** A JVM HTTP server: a heap, compiled code and a dozen threads. */
export const jvm: Program = {
  name: 'jvm',
  port: PORT,
  launch: {
    command: [
      'java',
      ...[
        '-Xmx64m',
        `-Dsun.net.httpserver.idleInterval=${IDLE_INTERVAL}`,
        fixture('Counter.java'),
        String(PORT),
      ],
    ],
  },
  ready: async (at) => {
    await eventually(() => curlJson(at, PORT, '/count'), 30_000, 100);
  },
  begin: async (at) => {
    let last = await curlJson<Count>(at, PORT, '/count');
    return {
      goOn: async () => {
        const now = await curlJson<Count>(at, PORT, '/count');
        expect(now.count).toBeGreaterThan(last.count);
        expect(now).toMatchObject({ identity: last.identity, sum: sumUpTo(now.count) });
        // Its scheduler goes on too.
        await eventually(async () => {
          last = await curlJson<Count>(at, PORT, '/count');
          expect(last.ticks).toBeGreaterThan(now.ticks);
        });
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const connection = openHttp(at, PORT);
    const { identity } = JSON.parse((await connection.get('/count')).body) as Count;
    return {
      check: async () =>
        expect(JSON.parse((await connection.get('/count')).body)).toMatchObject({ identity }),
      close: connection.close,
    };
  },
};
