import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { askJson, fixture, openLines, PYTHON } from './program.ts';
import type { Program } from './program.ts';

const PORT = 8086;
const HOUR = 3600;

interface State {
  readonly pid: number;
  readonly child: number;
  readonly timerfd: number;
  readonly posixTimer: number;
  readonly itimer: number;
}

interface Taken {
  readonly words: Readonly<Record<string, string>>;
}

const TIMERS = ['timerfd', 'posixTimer', 'itimer'] as const;

/** As the fixture makes a number of a word. */
const numberOf = (word: string): number => Buffer.from(word).reduce((sum, byte) => sum + byte, 1);

/** What holds on every rung: the parts of the state that never change. */
const STEADY = {
  links: 0,
  offset: 2,
  sameOffset: true,
  flock: true,
  unlocked: 0,
  blocked: [10, 34],
  ignored: true,
  cwd: '/tmp/kitchen',
  umask: 0o027,
  nice: 3,
  core: [4096, 8192],
  udp: 5353,
  argv: [String(PORT)],
  environment: 'salt',
};

/** One of everything that the kernel gives to processes. */
export const kitchen: Program = {
  name: 'kitchen',
  port: PORT,
  launch: { command: [PYTHON, fixture('kitchen.py'), String(PORT)], environment: { KITCHEN: 'salt' } },
  ready: async (at) => {
    await eventually(() => askJson(at, PORT, 'state'));
  },
  begin: async (at) => {
    let last = await askJson<State>(at, PORT, 'state');
    let turn = 1;
    const put = (): Promise<unknown> => askJson(at, PORT, `put word-${turn}`);
    await put();
    return {
      goOn: async () => {
        const word = `word-${turn}`;
        const taken = await askJson<Taken>(at, PORT, 'take');
        expect(taken).toEqual({
          words: Object.fromEntries(Object.keys(taken.words).map((name) => [name, word])),
          number: numberOf(word),
          signals: [numberOf(word), numberOf(word) + 1, null],
          pending: true,
          polled: [true],
          watched: ['made'],
        });
        const now = await askJson<State>(at, PORT, 'state');
        expect(now).toMatchObject({ ...STEADY, pid: last.pid, child: last.child, lockHolder: last.pid });
        for (const timer of TIMERS) {
          expect(now[timer]).toBeLessThan(last[timer]);
          expect(now[timer]).toBeGreaterThan(HOUR - 300);
        }
        last = now;
        turn += 1;
        await put();
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const client = await openLines(at, PORT);
    const { pid } = await client.askJson<State>('state');
    return {
      check: async () => expect(await client.askJson<State>('state')).toMatchObject({ pid, ...STEADY }),
      close: client.close,
    };
  },
};
