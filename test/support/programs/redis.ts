import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import type { Idle, Place, Program } from './program.ts';

const PORT = 6379;

/** A Redis that saves nothing to disk: what it holds is in memory alone. */
export const redisCommand = (port: number): string[] => [
  'redis-server',
  ...[
    '--port',
    String(port),
    '--bind',
    '0.0.0.0',
    '--protected-mode',
    'no',
    '--save',
    '',
    '--appendonly',
    'no',
  ],
];

export const redisCli = async (at: Place, port: number, ...words: string[]): Promise<string> => {
  const { stdout } = await at.lab.exec('redis-cli', ['-h', at.address, '-p', String(port), ...words]);
  return stdout.trim();
};

const KEYS = 1000;

/** A subscription over a redis-cli that is left running. */
const subscribe = async (at: Place, port: number): Promise<Idle> => {
  const subscriber = await at.lab.talk('redis-cli', [
    '-h',
    at.address,
    '-p',
    String(port),
    'SUBSCRIBE',
    'news',
  ]);
  await subscriber.hear(/^1$/);
  let sent = 0;
  return {
    check: async () => {
      const word = `message-${++sent}`;
      expect(await redisCli(at, port, 'PUBLISH', 'news', word)).toBe('1');
      await subscriber.hear(new RegExp(`^${word}$`));
    },
    close: subscriber.close,
  };
};

export const redis: Program = {
  name: 'redis',
  port: PORT,
  launch: { command: redisCommand(PORT) },
  ready: async (at) => {
    await eventually(async () => expect(await redisCli(at, PORT, 'PING')).toBe('PONG'));
  },
  begin: async (at) => {
    await redisCli(at, PORT, 'EVAL', `for i = 1, ${KEYS} do redis.call('SET', 'key' .. i, i) end`, '0');
    let last = Number(await redisCli(at, PORT, 'INCR', 'count'));
    return {
      goOn: async () => {
        expect(await redisCli(at, PORT, 'INCR', 'count')).toBe(String(++last));
        expect(await redisCli(at, PORT, 'GET', `key${KEYS}`)).toBe(String(KEYS));
        expect(await redisCli(at, PORT, 'DBSIZE')).toBe(String(KEYS + 1));
      },
      close: () => undefined,
    };
  },
  openIdle: (at) => subscribe(at, PORT),
};
