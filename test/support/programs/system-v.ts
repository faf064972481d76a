import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { fixture, openLines } from './program.ts';
import type { Place, Program } from './program.ts';

const PORT = 5193;

/** What the program answers: `name value` pairs. */
type State = Record<string, string>;

const stateOf = (line: string): State =>
  Object.fromEntries([...line.matchAll(/(\w+) (\S+)/g)].map(([, name, value]) => [name, value]));

const ask = async (at: Place, line: string): Promise<State> => {
  const client = await openLines(at, PORT);
  try {
    return stateOf(await client.ask(line));
  } finally {
    client.close();
  }
};

/** The IDs that the fixture gives its objects, and the semaphore's first value. */
const SYSTEM_V = { semaphore: '5193', value: '7', memory: '19', queue: '51' } as const;

/** A Perl program with a System V semaphore, shared memory and a message queue. */
export const systemV: Program = {
  name: 'system-v',
  port: PORT,
  launch: { command: ['perl', fixture('sysv.pl'), String(PORT)] },
  ready: async (at) => {
    await eventually(() => ask(at, 'state'));
  },
  begin: async (at) => {
    expect(await ask(at, 'state')).toMatchObject(SYSTEM_V);
    let word = 'first';
    const leave = async (next: string): Promise<void> => {
      word = next;
      await ask(at, `write ${word}`);
      await ask(at, `send ${word}-one`);
      await ask(at, `send ${word}-two`);
    };
    await leave(word);
    let turns = 0;
    return {
      goOn: async () => {
        expect(await ask(at, 'state')).toMatchObject({ ...SYSTEM_V, word, messages: '2' });
        expect(await ask(at, 'receive')).toEqual({ type: '3', word: `${word}-one` });
        expect(await ask(at, 'receive')).toEqual({ type: '3', word: `${word}-two` });
        expect(await ask(at, 'add 2')).toMatchObject({ value: '9', messages: '0' });
        await ask(at, 'add -2');
        await leave(`turn-${++turns}`);
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const client = await openLines(at, PORT);
    const { pid } = stateOf(await client.ask('state'));
    return {
      check: async () => expect(stateOf(await client.ask('state'))).toMatchObject({ ...SYSTEM_V, pid }),
      close: client.close,
    };
  },
};
