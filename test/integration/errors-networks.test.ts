/** Bad input about networks, ports, names and policies: one clear line each, alike from options, a file and the API, and nothing is left. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { AppView, ChainSpec } from '../../src/api/index.ts';
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
  await lab.succeed('network', 'create', 'red', '--cidr', '10.61.0.0/24');
  await lab.succeed('run', '--name', 'roamer', '--network', 'red', '--', ...SERVER);
  const { address } = await client.inspect('roamer');
  await eventually(() => lab.exec('curl', ['-sf', '-o', '/dev/null', `http://${address}/`]));
  await lab.succeed('template', 'create', 'warm', '--from', 'roamer');
  // Its files stay at hand from the first clone on.
  await lab.succeed('clone', 'warm', '--name', 'first', '--asleep');
  await lab.succeed('rm', '--force', 'first');
  await lab.succeed('sleep', 'roamer');
  await lab.succeed('export', 'roamer', inLab('roamer.appshot'));
  await lab.succeed('template', 'export', 'warm', inLab('warm.appshot'));
  await lab.succeed('rm', '--force', 'roamer');
  await lab.succeed('network', 'rm', 'red');
};

beforeAll(async () => {
  lab = await createLab();
  await lab.exec('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'lo']);
  await lab.daemon();
  client = new Client(lab.runDirectory);
  await lab.succeed('network', 'create', 'blue', '--cidr', '10.60.0.0/24');
  await lab.succeed('run', '--name', 'mine', '--service', 'own', '--publish', '8000:80', '--', ...SLEEPER);
  await lab.succeed('run', '--name', 'local', '--publish', '192.0.2.1:8001:80', '--', ...SLEEPER);
  mine = await client.inspect('mine');
  await leaveBehind();
  await listen('tcp', '0.0.0.0', 9000);
  await listen('udp', '192.0.2.1', 9001);
  baseline = await settledInventory(lab);
});

afterAll(async () => {
  for (const listener of listeners) await listener.close();
  await lab[Symbol.asyncDispose]();
});

/** What is wrong, the words of a command, its code, what its line says. */
type Case = readonly [string, readonly string[], ErrorCode, string];

const run = (...options: string[]): string[] => ['run', '--name', 'new', ...options, '--', ...SLEEPER];
const create = (...words: string[]): string[] => ['network', 'create', ...words];

const refusals = (cases: readonly Case[]): void =>
  test.each(cases)('%s', async (_, words, code, says) => {
    expect(failureLine(await lab.appshot(...words))).toEqual(failure(code, says));
  });

describe('a network', () => {
  refusals([
    ['with a name that is taken', create('blue'), 'NETWORK_TAKEN', 'the name blue is taken'],
    ["with the name of the daemon's own", create('default'), 'NETWORK_TAKEN', 'the name default is taken'],
    ['with a name that is none', create('Blue_1'), 'BAD_REQUEST', 'name: use 1 to 32 lower-case letters'],
    ['with a name that is too long', create('a'.repeat(33)), 'BAD_REQUEST', 'name: use 1 to 32'],
    ['that overlaps another', create('new', '--cidr', '10.60.0.128/25'), 'BAD_NETWORK', 'blue'],
    ['that contains another', create('new', '--cidr', '10.56.0.0/13'), 'BAD_NETWORK', 'blue'],
    ["that overlaps the daemon's own", create('new', '--cidr', '10.10.8.0/24'), 'BAD_NETWORK', 'default'],
    ["that has this machine's own", create('new', '--cidr', '192.0.2.0/25'), 'BAD_NETWORK', 'interface lo'],
    ['of loopback addresses', create('new', '--cidr', '127.9.0.0/16'), 'BAD_NETWORK', 'for hosts'],
    ['with host bits', create('new', '--cidr', '10.70.0.1/24'), 'BAD_NETWORK', '10.70.0.1/24'],
    ['that is too small', create('new', '--cidr', '10.70.0.0/31'), 'BAD_NETWORK', '10.70.0.0/31'],
    ['that is none', create('new', '--cidr', 'some'), 'BAD_NETWORK', 'some'],
    ['that is not there', ['network', 'rm', 'nowhere'], 'NETWORK_NOT_FOUND', 'called nowhere'],
    ["that is the daemon's own", ['network', 'rm', 'default'], 'BAD_REQUEST', 'stays'],
  ]);
});

describe('a network that is not there', () => {
  const at = (name: string): string => join(lab.directory, name);

  refusals([
    ['for a new application', run('--network', 'nowhere'), 'NETWORK_NOT_FOUND', 'called nowhere'],
    ['for clones', ['clone', 'warm', '--network', 'nowhere'], 'NETWORK_NOT_FOUND', 'called nowhere'],
    ['for clones of a template that had it', ['clone', 'warm', '--count', '2'], 'NETWORK_NOT_FOUND', 'red'],
    ['that is no name', run('--network', 'No_1'), 'USAGE', '--network: use 1 to 32'],
  ]);

  test('for what comes from a file', async () => {
    for (const [words, name] of [
      [['import', at('roamer.appshot')], 'red'],
      [['import', at('roamer.appshot'), '--network', 'nowhere'], 'nowhere'],
      [['import', at('warm.appshot'), '--name', 'second', '--network', 'nowhere'], 'nowhere'],
    ] as const)
      expect(failureLine(await lab.appshot(...words))).toEqual(
        failure('NETWORK_NOT_FOUND', `no network is called ${name}`),
      );
  });

  test('is no obstacle when another one is given', async () => {
    await lab.succeed('import', at('roamer.appshot'), '--network', 'blue');
    await lab.succeed('import', at('warm.appshot'), '--name', 'second', '--network', 'blue');
    await lab.succeed('clone', 'second', '--name', 'of-second');
    await lab.succeed('clone', 'warm', '--name', 'of-warm', '--network', 'default');
    for (const [name, network] of [
      ['roamer', '10.60.0.'],
      ['of-second', '10.60.0.'],
      ['of-warm', '10.10.0.'],
    ] as const) {
      const { address } = await client.inspect(name);
      expect(address.startsWith(network)).toBe(true);
      await lab.exec('curl', ['-sf', '--max-time', '20', '-o', '/dev/null', `http://${address}/`]);
      await lab.succeed('rm', '--force', name);
    }
    await lab.succeed('template', 'rm', 'second');
  });
});

describe('a name', () => {
  refusals([
    ['that an application has', ['run', '--name', 'mine', '--', ...SLEEPER], 'NAME_TAKEN', 'mine is taken'],
    [
      'that clones would have',
      ['clone', 'warm', '--name', 'mine', '--network', 'blue'],
      'NAME_TAKEN',
      'mine',
    ],
    ['of a service that is none', run('--service', 'a_b'), 'USAGE', '--service: use 1 to 63'],
    ['of a host that is none', run('--hostname', 'a.b'), 'USAGE', '--hostname: use 1 to 63'],
  ]);
});

describe('a port', () => {
  const publish = (...specs: string[]): string[] => run(...specs.flatMap((spec) => ['--publish', spec]));

  refusals([
    ['of another service', publish('8000:80'), 'PORT_TAKEN', '8000/tcp cannot be published: the service own'],
    ['of another service, at one address', publish('127.0.0.1:8000:80'), 'PORT_TAKEN', 'the service own'],
    ['of another service, at all addresses', publish('0.0.0.0:8001:80'), 'PORT_TAKEN', 'the service local'],
    ['that a program has', publish('9000:80'), 'PORT_TAKEN', 'a program that listens at 0.0.0.0:9000'],
    ['that a program has at an address', publish('9001:80/udp'), 'PORT_TAKEN', 'listens at 192.0.2.1:9001'],
    [
      'that is there twice',
      publish('7000:80', '7000:81'),
      'USAGE',
      '--publish: the port 7000/tcp is there twice',
    ],
    [
      'that is in a range too',
      publish('7000:80', '6999-7001:1-3'),
      'USAGE',
      'the port 7000/tcp is there twice',
    ],
    [
      'that is there twice, once at all addresses',
      publish('7000:1', '0.0.0.0:7000:1'),
      'USAGE',
      'there twice',
    ],
    ['by itself', publish('80'), 'USAGE', "--publish: '80' names no port of this machine: write 80:80"],
    ['0', publish('0:80'), 'USAGE', '--publish: the port 0 is not between 1 and 65535'],
    ['65536', publish('8080:65536'), 'USAGE', '--publish: the port 65536 is not between'],
    ['that is a word', publish('http:80'), 'USAGE', "'http' is neither a port nor a range"],
    ['of a protocol that is none', publish('1:1/sctp'), 'USAGE', "'sctp' is neither tcp nor udp"],
    ['at an address that is none', publish('10.0.0.300:1:1'), 'USAGE', '--publish: Invalid IPv4 address'],
    ['at an IPv6 address', publish('[::1]:1:1'), 'USAGE', 'does not begin with an IPv4 address'],
    ['of ranges that differ', publish('1-3:1-2'), 'USAGE', 'ports and targets must be as many, not 3 and 2'],
    ['of an application that is not there', ['ports', 'nobody'], 'APP_NOT_FOUND', 'called nobody'],
  ]);

  test('0.0.0.0 is all addresses from whomever it comes', async () => {
    const spec = { name: 'every', processes: [{ name: 'every', command: SLEEPER }] };
    const ports = [{ port: 7100, target: 80, protocol: 'tcp', address: '0.0.0.0' }];
    await client.run({ ...spec, publish: ports } as unknown as ChainSpec);
    expect((await client.ports('every')).ports).toMatchObject([{ port: 7100, address: null }]);
    await lab.succeed('rm', '--force', 'every');
  });
});

describe('a site', () => {
  refusals([
    [
      'of a host that is none',
      run('--site', 'Shop.Example:80'),
      'USAGE',
      '--site: give a host name in lower case',
    ],
    ['of a port that is none', run('--site', 'shop.example:0'), 'USAGE', '--site: it must be at least 1'],
    [
      'that is there twice',
      run('--site', 'a.b:1', '--site', 'a.b:2'),
      'USAGE',
      '--site: the host a.b is there twice',
    ],
    ['without a port', run('--site', 'shop.example'), 'USAGE', '--site: say which port'],
  ]);
});

describe('a policy', () => {
  refusals([
    ['with a priority above 100', run('--priority', '101'), 'USAGE', 'from 0 to 100'],
    ['with a priority that is no number', run('--priority', 'high'), 'USAGE', 'from 0 to 100'],
    ['that freezes never', run('--freeze', 'never'), 'USAGE', "'never' is not a duration"],
    [
      'that freezes after it sleeps',
      run('--freeze', '9s', '--idle', '9s'),
      'USAGE',
      '--freeze: it must be less',
    ],
    [
      'with more instances than fewer',
      run('--instances', '3..2'),
      'USAGE',
      '--instances: it must be at most 2',
    ],
    ['without instances', run('--instances', '0..0'), 'USAGE', '--instances: it must be at least 1'],
    ['with instances that are no range', run('--instances', 'many'), 'USAGE', 'many'],
  ]);

  test.each([
    ['priority: 101', 'policy.priority: it must be at most 100'],
    ['priority: -1', 'policy.priority: it must be at least 0'],
    ['priority: high', 'policy.priority: '],
    ['idle: {freeze: never}', "policy.idle.freeze: 'never' is not a duration"],
    ['idle: {freeze: 1m, sleep: 30s}', 'policy.idle.freeze: it must be less than'],
    ['idle: {thaw: 1m}', 'policy.idle.thaw: '],
    ['instances: {min: 1}', 'policy.instances.max: '],
    ['instances: {min: -1, max: 2}', 'policy.instances.min: it must be at least 0'],
    ['instances: {min: 3, max: 2}', 'policy.instances.min: it must be at most 2, as max says'],
    ['instances: {max: 2, template: [a]}', 'policy.instances.template: '],
    ['ignore: [10.0.0.0/40]', 'policy.ignore.0: give an IPv4 network such as 10.0.0.0/8'],
    ['ignore: [checker.example]', 'policy.ignore.0: give an IPv4 network such as 10.0.0.0/8'],
    ['ignore: 10.0.0.0/8', 'policy.ignore: '],
    ['nice: 3', 'policy.nice: '],
  ])('of a file: %s', async (policy, says) => {
    const file = inLab('policy.yaml');
    writeFileSync(file, `name: new\npolicy:\n  ${policy}\nprocesses:\n  new: {command: [sleep, "9"]}\n`);
    expect(failureLine(await lab.appshot('run', '--file', file))).toEqual(failure('BAD_CONFIG', says));
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
    const spec = { name: 'new', processes: [{ name: 'new', command: SLEEPER }], ...more };
    await expect(client.run(spec as unknown as ChainSpec)).rejects.toMatchObject({
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
