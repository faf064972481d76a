import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { curlJson, fixture, openHttp, PYTHON } from './program.ts';
import type { Program } from './program.ts';

const PORT = 8083;

interface State {
  readonly asked: number;
  readonly counts: readonly number[];
  readonly threads: readonly number[];
  readonly mismatches: number;
}

/** Python with threads that count by themselves and one for each connection. */
export const threads: Program = {
  name: 'threads',
  port: PORT,
  launch: { command: [PYTHON, fixture('threads.py'), String(PORT)] },
  ready: async (at) => {
    await eventually(() => curlJson(at, PORT, '/'));
  },
  begin: async (at) => {
    let last = await curlJson<State>(at, PORT, '/');
    return {
      goOn: async () => {
        const woken = await curlJson<State>(at, PORT, '/');
        expect(woken.threads).toEqual(last.threads);
        expect(woken.asked).toBeGreaterThan(last.asked);
        woken.counts.forEach((count, index) => expect(count).toBeGreaterThanOrEqual(last.counts[index] ?? 0));
        await eventually(async () => {
          last = await curlJson<State>(at, PORT, '/');
          last.counts.forEach((count, index) => expect(count).toBeGreaterThan(woken.counts[index] ?? 0));
        });
        expect(last.mismatches).toBe(0);
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const connection = openHttp(at, PORT);
    const threadsOf = async (): Promise<readonly number[]> =>
      (JSON.parse((await connection.get('/')).body) as State).threads;
    const first = await threadsOf();
    return { check: async () => expect(await threadsOf()).toEqual(first), close: connection.close };
  },
};
