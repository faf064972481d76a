/** What wakes a real sleeper and what does not: who asks, for what, and whom it ignores. */
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ChainSpec } from '../../src/api/index.ts';
import { run } from '../../src/exec/index.ts';
import { linksOf } from '../support/belongings.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { makeNetworkNamespace } from '../support/network-namespace.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { PYTHON } from '../support/programs/program.ts';

const [PORT, CLOSED] = [8080, 8081];
const GATEWAY = '10.10.0.1';
/** This machine as another one knows it, that one, and a second address of it, which the wary application ignores. */
const [MACHINE, ELSEWHERE, CHECKER] = ['192.0.2.1', '192.0.2.2', '192.0.2.66'];
const PUBLISHED = { web: 8000, shut: 8001, wary: 8002 } as const;
/**
 * Nothing comes of what is asked within this time, in seconds: a wake takes hundredths, and whoever began to wake is not asleep. Where an answer
 * is to come, a slow machine has longer.
 */
const [SILENCE, PATIENCE] = ['0.5', '20'];
const IGNORED = ['192.0.2.64/26', `${GATEWAY}/32`, '10.10.0.9/32'];

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;
let elsewhere: NetworkNamespace;
let neighbour: string;
const addresses = new Map<string, string>();

const addressOf = (name: string): string => addresses.get(name) ?? '';

const launch = async (name: string, more: Partial<ChainSpec> = {}): Promise<string> => {
  const processes = [
    { name: 'web', command: [PYTHON, '-m', 'http.server', '--directory', '/opt', String(PORT)] },
  ];
  const { address } = await client.run({ name, processes, ...more } as ChainSpec);
  addresses.set(name, address);
  const answers = () => lab.exec('curl', ['-sf', '-o/dev/null', `http://${address}:${PORT}/`]);
  await eventually(answers, 20_000);
  return address;
};

/** Other machines are one, with two addresses, and a route to this one. */
const connectElsewhere = async (): Promise<void> => {
  const inner = (...words: string[]) => run('ip', ['-n', elsewhere.name, ...words]);
  const outer = (...words: string[]) => lab.exec('ip', words);
  await outer('link', 'add', 'out0', 'type', 'veth', 'peer', 'eth0', 'netns', elsewhere.name);
  await outer('address', 'add', `${MACHINE}/24`, 'dev', 'out0');
  await outer('link', 'set', 'out0', 'up');
  for (const address of [ELSEWHERE, CHECKER]) await inner('address', 'add', `${address}/24`, 'dev', 'eth0');
  await inner('link', 'set', 'eth0', 'up');
};

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
  client = new Client(lab.runDirectory);
  elsewhere = await makeNetworkNamespace(`${lab.name}-elsewhere`);
  await connectElsewhere();
  const published = (port: number, target = PORT) => ({ port, target, protocol: 'tcp' as const });
  await launch('web', { publish: [published(PUBLISHED.web), published(PUBLISHED.shut, CLOSED)] });
  await launch('wary', {
    publish: [published(PUBLISHED.wary)],
    policy: { priority: 50, ignore: IGNORED },
  });
  neighbour = await launch('neighbour');
  await launch('checker', { address: '10.10.0.9' });
});

afterAll(async () => {
  elsewhere.close();
  try {
    await lab[Symbol.asyncDispose]();
  } finally {
    await run('ip', ['netns', 'del', elsewhere.name]);
  }
});

const stateOf = async (name: string): Promise<string> => (await client.inspect(name)).state;

/** Curl's exit code: 0, 7 when it was refused, 28 when nobody answered in time. */
const asks = async (from: readonly string[], url: string, ...options: string[]): Promise<number | null> => {
  const args = ['-s', '-o/dev/null', '--max-time', PATIENCE, ...options, url];
  const [tool = '', ...words] = [...from, 'curl', ...args];
  return (await run(tool, words, { acceptExit: [0, 7, 28] })).code;
};
/** The same, where silence is expected. */
const asksInVain: typeof asks = (from, url, ...options) => asks(from, url, '--max-time', SILENCE, ...options);
const here = (): string[] => ['nsenter', `--net=${lab.namespace.path}`, '--'];
const there = (): string[] => ['nsenter', `--net=${elsewhere.path}`, '--'];
const insideOf = async (name: string): Promise<string[]> => {
  const [first] = (await client.inspect(name)).processes;
  return ['nsenter', `--net=/proc/${first?.systemPid}/ns/net`, '--'];
};
const at = (name: string, port: number = PORT): string => `http://${addressOf(name)}:${port}/`;

describe.each(['asleep', 'frozen'] as const)('%s', (state) => {
  beforeEach(async () => {
    for (const name of ['web', 'wary']) {
      if ((await stateOf(name)) === state) continue;
      await client.wake(name);
      // What was asked last may not have been read.
      await eventually(async () => void (await client[state === 'asleep' ? 'sleep' : 'freeze'](name)));
    }
  });

  test.each([
    ['this machine, at its address', async () => asks(here(), at('web'))],
    ['this machine, at a published port', async () => asks(here(), `http://127.0.0.1:${PUBLISHED.web}/`)],
    ['another machine', async () => asks(there(), `http://${MACHINE}:${PUBLISHED.web}/`)],
    ['a neighbour', async () => asks(await insideOf('neighbour'), at('web'))],
  ])('it wakes for %s', async (_, ask) => {
    expect(await ask()).toBe(0);
    expect(await stateOf('web')).toBe('running');
  });

  test.each([
    ['this machine, at its address', 7, async () => asks(here(), at('web', CLOSED))],
    ['this machine, at a published port', 7, async () => asks(here(), `http://127.0.0.1:${PUBLISHED.shut}/`)],
    ['another machine', 7, async () => asks(there(), `http://${MACHINE}:${PUBLISHED.shut}/`)],
    ['a neighbour', 28, async () => asksInVain(await insideOf('neighbour'), at('web', CLOSED))],
  ])('it does not wake for a port that is closed: %s', async (_, code, ask) => {
    expect(await ask()).toBe(code);
    expect(await stateOf('web')).toBe(state);
  });

  test('it does not wake for what is said to all, for questions alone, or by IPv6', async () => {
    const [bridge] = (await linksOf(lab, 'bridge')).filter((name) => name.startsWith('asb'));
    const everybody = `
import socket
one = socket.socket(type=socket.SOCK_DGRAM)
one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for address in ('10.10.255.255', '255.255.255.255', '224.0.0.1'):
    try: one.sendto(b'x', (address, ${PORT}))
    except OSError: pass
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
try: six.sendto(b'x', ('ff02::1', ${PORT}, 0, socket.if_nametoindex('IF')))
except OSError: pass
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(('IF', 0))
mac, sender = raw.getsockname()[4], socket.inet_aton('SENDER')
for target in map(socket.inet_aton, ('${addressOf('web')}', '${addressOf('wary')}')):
    arp = b'\\0\\1\\x08\\0\\6\\4\\0\\1' + mac + sender + bytes(6) + target
    raw.send(b'\\xff' * 6 + mac + b'\\x08\\x06' + arp)
    hello = b'\\x60' + bytes(3) + b'\\0\\x08\\x11\\x40' + b'\\xfe\\x80' + bytes(13) + b'\\1' + b'\\xfe\\x80' + bytes(13) + b'\\2'
    raw.send(b'\\x02\\xa5' + target + mac + b'\\x86\\xdd' + hello + b'\\x1f\\x90\\x1f\\x90\\0\\x08\\0\\0')
`;
    const send = async (from: string[], link: string, sender: string): Promise<void> => {
      const program = everybody.replaceAll('IF', link).replaceAll('SENDER', sender);
      const [tool = '', ...words] = from;
      await run(tool, [...words, PYTHON, '-c', program]);
    };
    await send(await insideOf('neighbour'), 'eth0', neighbour);
    await send(here(), bridge ?? '', '0.0.0.0');
    expect(await asks(here(), at('neighbour'))).toBe(0);
    for (const name of ['web', 'wary']) expect(await stateOf(name)).toBe(state);
  });

  test.each([
    [
      'another machine',
      async () => asksInVain(there(), `http://${MACHINE}:${PUBLISHED.wary}/`, '--interface', CHECKER),
    ],
    ['this machine, at its address', async () => asksInVain(here(), at('wary'))],
    [
      'this machine, at a published port',
      async () => asksInVain(here(), `http://127.0.0.1:${PUBLISHED.wary}/`),
    ],
    ['a neighbour', async () => asksInVain(await insideOf('checker'), at('wary'))],
  ])('whoever it ignores gets no answer, and does not wake it: %s', async (_, ask) => {
    expect(await ask()).toBe(28);
    expect(await stateOf('wary')).toBe(state);
  });

  test('whoever it ignores is refused at closed ports, as by one that runs', async () => {
    expect(await asks(here(), at('wary', CLOSED))).toBe(7);
    expect(await stateOf('wary')).toBe(state);
  });

  test('it wakes for all others, and then answers those that it ignores', async () => {
    expect(await asks(there(), `http://${MACHINE}:${PUBLISHED.wary}/`)).toBe(0);
    expect(await asks(there(), `http://${MACHINE}:${PUBLISHED.wary}/`, '--interface', CHECKER)).toBe(0);
  });
});

test('a connection of somebody it ignores stays, and is answered when another has woken it', async () => {
  const open = await lab.connect(addressOf('wary'), PORT);
  // A connection that is not accepted yet keeps it from sleeping.
  await eventually(() => client.sleep('wary'));
  open.write('GET / HTTP/1.0\r\n\r\n');
  await expect(once(open, 'data', { signal: AbortSignal.timeout(1000 * Number(SILENCE)) })).rejects.toThrow(
    'aborted',
  );
  expect(await stateOf('wary')).toBe('asleep');
  const answered = once(open, 'data');
  expect(await asks(await insideOf('neighbour'), at('wary'))).toBe(0);
  expect(String((await answered)[0])).toContain('200 OK');
  open.destroy();
});

test('a daemon that begins again knows whom sleepers ignore', async () => {
  await client.sleep('wary');
  await daemon.kill();
  daemon = await lab.daemon();
  expect(await asksInVain(here(), at('wary'))).toBe(28);
  expect(await asksInVain(await insideOf('checker'), at('wary'))).toBe(28);
  expect(await stateOf('wary')).toBe('asleep');
  expect(await asks(await insideOf('neighbour'), at('wary'))).toBe(0);
});
