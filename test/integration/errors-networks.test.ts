/**
 * Bad input about networks, ports, names and policies: one clear line each, and nothing is left. Each code is asked for through the
 * command once, and for the rest through the API, since a command takes half a second to start.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { AppView, ChainSpec } from '../../src/api/index.ts';
import { buildChain } from '../../src/cli/chain.ts';
import type { RunOptions } from '../../src/cli/chain.ts';
import { formatFailure } from '../../src/cli/failure.ts';
import { toAppShotError } from '../../src/common/index.ts';
import type { ErrorCode } from '../../src/common/index.ts';
import type { Dialogue } from '../support/dialogue.ts';
import { eventually } from '../support/eventually.ts';
import { failure, failureLine } from '../support/failure-line.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';

const SLEEPER = ['sleep', '1000'];
const SERVER = ['python3', '-m', 'http.server', '80'];

let lab: Lab;
let client: Client;
let mine: AppView;
let baseline: Inventory;
const listeners: Dialogue[] = [];

const inLab = (name: string): string => join(lab.directory, name);
/** What `appshot run` asks for. */
const spec = (options: RunOptions, command: readonly string[] = SLEEPER): Promise<ChainSpec> =>
  buildChain(options, command);

const listen = async (protocol: 'tcp' | 'udp', address: string, port: number): Promise<void> => {
  const script = `
import socket, sys
held = socket.socket(socket.AF_INET, socket.SOCK_${protocol === 'tcp' ? 'STREAM' : 'DGRAM'})
held.bind(('${address}', ${port}))
${protocol === 'tcp' ? 'held.listen()' : ''}
print('ready', flush=True)
sys.stdin.read()`;
  const listener = await lab.talk('python3', ['-c', script]);
  await listener.hear(/ready/);
  listeners.push(listener);
};

/** In a network that is then taken away: an exported file, and a template. */
const leaveBehind = async (): Promise<void> => {
  await client.createNetwork({ name: 'red', cidr: '10.61.0.0/24' });
  const { address } = await client.run(await spec({ name: 'roamer', network: 'red' }, SERVER));
  await eventually(() => lab.exec('curl', ['-sf', '-o', '/dev/null', `http://${address}/`]));
  await client.createTemplate({ name: 'warm', from: 'roamer' });
  // Its files stay at hand from the first clone on.
  await client.clone('warm', { name: 'first', asleep: true });
  await client.remove('first', { force: true });
  await client.sleep('roamer');
  await client.export('roamer', { file: inLab('roamer.appshot') });
  await client.exportTemplate('warm', { file: inLab('warm.appshot') });
  await client.remove('roamer', { force: true });
  await client.removeNetwork('red');
};

beforeAll(async () => {
  lab = await createLab();
  await lab.exec('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'lo']);
  await lab.daemon();
  client = new Client(lab.runDirectory);
  await client.createNetwork({ name: 'blue', cidr: '10.60.0.0/24' });
  mine = await client.run(await spec({ name: 'mine', service: 'own', publish: ['8000:80'] }));
  await client.run(await spec({ name: 'local', publish: ['192.0.2.1:8001:80'] }));
  await leaveBehind();
  await listen('tcp', '0.0.0.0', 9000);
  await listen('udp', '192.0.2.1', 9001);
  baseline = await settledInventory(lab);
});

afterAll(async () => {
  for (const listener of listeners) await listener.close();
  await lab[Symbol.asyncDispose]();
});

/** The line in which the command tells of an error that the daemon answered a request with. */
const lineOf = async (request: Promise<unknown>): Promise<unknown> => {
  const error = toAppShotError(
    await request.then(
      () => new Error('it was taken'),
      (thrown: unknown) => thrown,
    ),
  );
  return failureLine({ code: error.spec.exit, stdout: '', stderr: `${formatFailure(error)}\n` });
};

/** What is wrong, how it is asked for, its code, what its line says. */
type Case = readonly [string, () => Promise<unknown>, ErrorCode, string];

const refusals = (cases: readonly Case[]): void =>
  test.each(cases)('%s', async (_, ask, code, says) => {
    expect(await lineOf(ask())).toEqual(failure(code, says));
  });

describe('the command', () => {
  const run = (...options: string[]): string[] => ['run', '--name', 'new', ...options, '--', ...SLEEPER];
  const overlapping = ['network', 'create', 'new', '--cidr', '10.60.0.128/25'];

  test.each<readonly [ErrorCode, readonly string[], string]>([
    ['APP_NOT_FOUND', ['ports', 'nobody'], 'called nobody'],
    ['BAD_NETWORK', overlapping, 'blue'],
    ['BAD_REQUEST', ['network', 'create', 'Blue_1'], 'name: use 1 to 32 lower-case letters'],
    ['NAME_TAKEN', ['clone', 'warm', '--name', 'mine', '--network', 'blue'], 'mine is taken'],
    ['NETWORK_NOT_FOUND', ['network', 'rm', 'nowhere'], 'called nowhere'],
    ['NETWORK_NOT_FOUND', run('--network', 'nowhere'), 'called nowhere'],
    ['NETWORK_TAKEN', ['network', 'create', 'blue'], 'the name blue is taken'],
    ['PORT_TAKEN', run('--publish', '8000:80'), '8000/tcp cannot be published: the service own'],
    ['USAGE', run('--publish', '0:80'), '--publish: the port 0 is not between 1 and 65535'],
    ['USAGE', run('--priority', 'high'), 'from 0 to 100'],
  ])('says of %s, asked for %j', async (code, words, says) => {
    expect(failureLine(await lab.appshot(...words))).toEqual(failure(code, says));
  });

  test('says of BAD_CONFIG where in the file', async () => {
    const file = inLab('policy.yaml');
    writeFileSync(file, 'name: new\npolicy: {nice: 3}\nprocesses:\n  new: {command: [sleep, "9"]}\n');
    const says = failure('BAD_CONFIG', 'policy.nice: ');
    expect(failureLine(await lab.appshot('run', '--file', file))).toEqual(says);
  });
});

describe('a network', () => {
  const create = (name: string, cidr?: string) => () =>
    client.createNetwork({ name, ...(cidr !== undefined && { cidr }) });

  refusals([
    ["with the name of the daemon's own", create('default'), 'NETWORK_TAKEN', 'the name default is taken'],
    ['with a name that is too long', create('a'.repeat(33)), 'BAD_REQUEST', 'name: use 1 to 32'],
    ['that contains another', create('new', '10.56.0.0/13'), 'BAD_NETWORK', 'blue'],
    ["that overlaps the daemon's own", create('new', '10.10.8.0/24'), 'BAD_NETWORK', 'default'],
    ["that has this machine's own", create('new', '192.0.2.0/25'), 'BAD_NETWORK', 'interface lo'],
    ['of loopback addresses', create('new', '127.9.0.0/16'), 'BAD_NETWORK', 'for hosts'],
    ['with host bits', create('new', '10.70.0.1/24'), 'BAD_NETWORK', '10.70.0.1/24'],
    ['that is too small', create('new', '10.70.0.0/31'), 'BAD_NETWORK', '10.70.0.0/31'],
    ['that is none', create('new', 'some'), 'BAD_NETWORK', 'some'],
    ["that is the daemon's own", () => client.removeNetwork('default'), 'BAD_REQUEST', 'stays'],
  ]);
});

describe('a network that is not there', () => {
  const clone = (body: object) => () => client.clone('warm', body);
  const bring =
    (file: string, more: object = {}) =>
    () =>
      client.import({ file: inLab(file), force: false, ...more });

  refusals([
    ['for clones', clone({ network: 'nowhere' }), 'NETWORK_NOT_FOUND', 'called nowhere'],
    ['for clones of a template that had it', clone({ count: 2 }), 'NETWORK_NOT_FOUND', 'called red'],
    ['for what was in it', bring('roamer.appshot'), 'NETWORK_NOT_FOUND', 'called red'],
    [
      'for an application from a file',
      bring('roamer.appshot', { network: 'nowhere' }),
      'NETWORK_NOT_FOUND',
      'called nowhere',
    ],
    [
      'for a template from a file',
      bring('warm.appshot', { name: 'second', network: 'nowhere' }),
      'NETWORK_NOT_FOUND',
      'called nowhere',
    ],
  ]);

  test('is no obstacle when another one is given', async () => {
    await lab.succeed('import', inLab('roamer.appshot'), '--network', 'blue');
    await lab.succeed('import', inLab('warm.appshot'), '--name', 'second', '--network', 'blue');
    await client.clone('second', { name: 'of-second' });
    await lab.succeed('clone', 'warm', '--name', 'of-warm', '--network', 'default');
    for (const [name, network] of [
      ['roamer', '10.60.0.'],
      ['of-second', '10.60.0.'],
      ['of-warm', '10.10.0.'],
    ] as const) {
      const { address } = await client.inspect(name);
      expect(address.startsWith(network)).toBe(true);
      await lab.exec('curl', ['-sf', '--max-time', '20', '-o', '/dev/null', `http://${address}/`]);
      await client.remove(name, { force: true });
    }
    await client.removeTemplate('second');
  });
});

test('a name that an application has', async () => {
  const taken = spec({ name: 'mine' }).then((one) => client.run(one));
  expect(await lineOf(taken)).toEqual(failure('NAME_TAKEN', 'mine is taken'));
});

describe('a port', () => {
  const publish = (word: string) => async () => client.run(await spec({ name: 'new', publish: [word] }));

  refusals([
    ['of another service, at one address', publish('127.0.0.1:8000:80'), 'PORT_TAKEN', 'the service own'],
    ['of another service, at all addresses', publish('0.0.0.0:8001:80'), 'PORT_TAKEN', 'the service local'],
    ['that a program has', publish('9000:80'), 'PORT_TAKEN', 'a program that listens at 0.0.0.0:9000'],
    ['that a program has at an address', publish('9001:80/udp'), 'PORT_TAKEN', 'listens at 192.0.2.1:9001'],
  ]);

  test('0.0.0.0 is all addresses from whomever it comes', async () => {
    const every = await spec({ name: 'every' });
    await client.run({
      ...every,
      publish: [{ port: 7100, target: 80, protocol: 'tcp', address: '0.0.0.0' }],
    });
    expect((await client.ports('every')).ports).toMatchObject([{ port: 7100, address: null }]);
    await client.remove('every', { force: true });
  });
});

describe('the API refuses what options and files are refused for', () => {
  const policy = (more: object): object => ({ policy: { priority: 50, ignore: [], ...more } });
  const port = { port: 7000, target: 80, protocol: 'tcp' };

  test.each([
    ['publish.1: the port 7000/tcp is there twice', { publish: [port, { ...port, address: '127.0.0.1' }] }],
    ['publish.1: the port 7000/tcp is there twice', { publish: [port, { ...port, address: '0.0.0.0' }] }],
    [
      'sites.1: the host a is there twice',
      { sites: ['1', '2'].map((end) => ({ host: 'a', port: Number(end) })) },
    ],
    ['policy.instances.min: it must be at most 2', policy({ instances: { min: 3, max: 2 } })],
    ['policy.freeze: it must be less than', { idle: 5, ...policy({ freeze: 5 }) }],
    ['policy.ignore.0: give an IPv4 network', policy({ ignore: ['x'] })],
    ['network: use 1 to 32 lower-case letters', { network: 'a'.repeat(33) }],
  ])('%s', async (says, more) => {
    const asked = { ...(await spec({ name: 'new' })), ...more };
    await expect(client.run(asked)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(says) as string,
    });
  });
});

test('after all that everything is as it was', async () => {
  await expectNothingLeft(lab, baseline);
  expect((await client.apps({ all: true })).map(({ name }) => name).toSorted()).toEqual(['local', 'mine']);
  expect((await client.networks()).map(({ name }) => name)).toEqual(['default', 'blue']);
  expect((await client.inspect('mine')).address).toBe(mine.address);
  expect((await client.ports()).ports.map(({ port }) => port)).toEqual([8000, 8001]);
});
