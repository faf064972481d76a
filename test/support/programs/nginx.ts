import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { curl, fixture, openHttp } from './program.ts';
import type { Place, Program } from './program.ts';

const PORT = 80;

/** The number of requests that nginx counts in memory shared by its workers. */
const requests = async (at: Place): Promise<number> => {
  const status = await curl(at, PORT, '/status');
  const counts = /accepts handled requests\s+\d+ \d+ (\d+)/.exec(status);
  return Number(counts?.[1]);
};

/** A master of root's and two workers of www-data. */
export const nginx: Program = {
  name: 'nginx',
  port: PORT,
  launch: { command: ['nginx', '-e', 'stderr', '-c', fixture('nginx.conf')] },
  ready: async (at) => {
    await eventually(() => curl(at, PORT, '/'));
  },
  begin: async (at) => {
    let last = await requests(at);
    return {
      goOn: async () => {
        expect(await curl(at, PORT, '/')).toBe('nginx\n');
        const now = await requests(at);
        // At least these two; an idle connection may have asked as well, but not meanwhile.
        expect(now).toBeGreaterThanOrEqual(last + 2);
        last = await requests(at);
        expect(last).toBe(now + 1);
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const connection = openHttp(at, PORT);
    const first = (await connection.get('/')).headers;
    let asked = Number(first['x-requests']);
    return {
      check: async () => {
        const { headers } = await connection.get('/');
        expect(headers['x-worker']).toBe(first['x-worker']);
        expect(headers['x-connection']).toBe(first['x-connection']);
        expect(Number(headers['x-requests'])).toBe(++asked);
      },
      close: connection.close,
    };
  },
};
