import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { curlJson, fixture, openHttp } from './program.ts';
import type { Program } from './program.ts';

const PORT = 8080;
const MEGABYTES = 50;

interface Count {
  readonly count: number;
  readonly pid: number;
  readonly started: string;
}

/** A Node HTTP server that counts and holds memory. */
export const node: Program = {
  name: 'node',
  port: PORT,
  launch: { command: [process.execPath, fixture('counter.js'), String(PORT), String(MEGABYTES)] },
  ready: async (at) => {
    await eventually(() => curlJson(at, PORT, '/state'));
  },
  begin: async (at) => {
    let last = await curlJson<Count>(at, PORT, '/count');
    const { sum } = await curlJson<{ sum: number }>(at, PORT, '/sum');
    return {
      goOn: async () => {
        const now = await curlJson<Count>(at, PORT, '/count');
        expect(now).toEqual({ ...last, count: last.count + 1 });
        expect(await curlJson(at, PORT, '/sum')).toEqual({ sum });
        last = now;
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const connection = openHttp(at, PORT);
    const before = JSON.parse((await connection.get('/state')).body) as Count;
    return {
      check: async () => {
        const now = JSON.parse((await connection.get('/state')).body) as Count;
        expect(now).toMatchObject({ pid: before.pid, started: before.started });
      },
      close: connection.close,
    };
  },
};
