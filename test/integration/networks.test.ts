/** Networks beside the daemon's own: addresses, names of their own, what is refused, and what a restart keeps. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { NetworkView } from '../../src/api/index.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
  client = new Client(lab.runDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const named = async (name: string): Promise<NetworkView | undefined> =>
  (await client.networks()).find((one) => one.name === name);

const bridges = async (): Promise<string[]> => {
  const { stdout } = await lab.exec('ip', ['-json', 'link', 'show', 'type', 'bridge']);
  return (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname).toSorted();
};

test('a network gets addresses that nobody has, and a bridge', async () => {
  expect((await lab.succeed('network', 'create', 'blue')).stdout).toMatch(
    /^network blue has 10\.\d+\.0\.0\/16; this machine is 10\.\d+\.0\.1 in it\n$/,
  );
  const green = await client.createNetwork({ name: 'green', cidr: '10.200.4.0/24', outgoing: true });
  expect(green).toMatchObject({
    cidr: '10.200.4.0/24',
    gateway: '10.200.4.1',
    outgoing: true,
    applications: 0,
  });
  const all = await client.networks();
  expect(all.map(({ name }) => name)).toEqual(['default', 'blue', 'green']);
  expect(await bridges()).toEqual(all.map(({ bridge }) => bridge).toSorted());
});

test.each([
  ['a name that is taken', ['blue'], 'NETWORK_TAKEN'],
  ["the daemon's own name", ['default'], 'NETWORK_TAKEN'],
  ['a name that is none', ['Blue_1'], 'BAD_REQUEST'],
  ['addresses of another network', ['red', '--cidr', '10.200.0.0/16'], 'BAD_NETWORK'],
  ["addresses of the daemon's own", ['red', '--cidr', '10.10.8.0/24'], 'BAD_NETWORK'],
  ['addresses with host bits', ['red', '--cidr', '10.201.0.1/24'], 'BAD_NETWORK'],
  ['addresses of the loopback interface', ['red', '--cidr', '127.1.0.0/16'], 'BAD_NETWORK'],
])('%s is refused', async (_, words, code) => {
  const before = await client.networks();
  const refused = await lab.appshot('network', 'create', ...words, '--json');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(code);
  expect(await client.networks()).toEqual(before);
});

test('addresses of an interface of this machine are refused', async () => {
  await lab.exec('ip', ['link', 'add', 'own0', 'type', 'veth', 'peer', 'name', 'own1']);
  await lab.exec('ip', ['address', 'add', '10.210.0.9/16', 'dev', 'own0']);
  await expect(client.createNetwork({ name: 'red', cidr: '10.210.5.0/24' })).rejects.toMatchObject({
    code: 'BAD_NETWORK',
    message: expect.stringContaining('the interface own0 has 10.210.0.0/16') as string,
  });
  await lab.exec('ip', ['link', 'delete', 'own0']);
});

test('an application belongs to its network, asleep or awake, and with the next daemon', async () => {
  const spec = {
    name: 'web',
    network: 'green',
    processes: [{ name: 'web', command: ['python3', '-m', 'http.server', '8080'] }],
  };
  const { aid, address } = await client.run(spec as Parameters<Client['run']>[0]);
  expect(address).toMatch(/^10\.200\.4\.\d+$/);
  const ask = (): Promise<unknown> =>
    lab.exec('curl', ['-sf', '--retry', '20', '--retry-connrefused', `http://${address}:8080/`]);
  await ask();
  expect(await named('green')).toMatchObject({ applications: 1 });
  await expect(client.removeNetwork('green')).rejects.toMatchObject({ code: 'NETWORK_IN_USE' });
  await client.sleep(aid);
  await ask();
  await daemon.kill();
  daemon = await lab.daemon();
  await ask();
  await client.sleep(aid);
  await ask();
  expect(await named('green')).toMatchObject({ cidr: '10.200.4.0/24', outgoing: true, applications: 1 });
  await client.remove(aid, { force: true });
});

test('nothing is left of a network that was removed, and its addresses are free', async () => {
  await lab.succeed('network', 'rm', 'green', 'blue');
  const left = await client.networks();
  expect(left.map(({ name }) => name)).toEqual(['default']);
  expect(await bridges()).toEqual(left.map(({ bridge }) => bridge));
  await expect(client.removeNetwork('green')).rejects.toMatchObject({ code: 'NETWORK_NOT_FOUND' });
  await expect(client.removeNetwork('default')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  await client.createNetwork({ name: 'green', cidr: '10.200.4.0/24' });
  await client.removeNetwork('green');
});

test('an application of a network that is not there is refused', async () => {
  const spec = { name: 'lost', network: 'nowhere', processes: [{ name: 'lost', command: ['sleep', '1'] }] };
  await expect(client.run(spec as Parameters<Client['run']>[0])).rejects.toMatchObject({
    code: 'NETWORK_NOT_FOUND',
  });
  expect(await client.apps({ all: true })).toEqual([]);
});
