import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { curlJson, fixture, openHttp } from './program.ts';
import type { Program } from './program.ts';
import { redisCli, redisCommand } from './redis.ts';

const PORT = 8081;
const REDIS_PORT = 6380;

interface Count {
  readonly answer: string;
  readonly connections: number;
  readonly pid: number;
}

/** A Node web server and its Redis: two processes of one application, connected over its loopback. */
export const chain: Program = {
  name: 'chain',
  port: PORT,
  launch: {
    processes: {
      store: { command: redisCommand(REDIS_PORT) },
      web: {
        command: [process.execPath, fixture('chain.js'), String(PORT), '127.0.0.1', String(REDIS_PORT)],
      },
    },
  },
  ready: async (at) => {
    await eventually(() => curlJson(at, PORT, '/'));
  },
  begin: async (at) => {
    let last = await curlJson<Count>(at, PORT, '/count');
    return {
      goOn: async () => {
        const now = await curlJson<Count>(at, PORT, '/count');
        const count = Number(last.answer.slice(1)) + 1;
        // The same connection between the two, and the same process, as before.
        expect(now).toEqual({ ...last, answer: `:${count}` });
        expect(await redisCli(at, REDIS_PORT, 'GET', 'count')).toBe(String(count));
        last = now;
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const connection = openHttp(at, PORT);
    const pong = async (): Promise<void> => {
      expect(JSON.parse((await connection.get('/')).body)).toMatchObject({ answer: '+PONG', connections: 1 });
    };
    await pong();
    return { check: pong, close: connection.close };
  },
};
