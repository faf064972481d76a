/** The identity of an application in its network, as its neighbours see it and while it sleeps. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import { linksOf } from '../support/belongings.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { settledInventory } from '../support/nothing-left.ts';
import { node } from '../support/programs/node.ts';
import { curlJson } from '../support/programs/program.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const fromInside = async <T>(app: { aid: string }, url: string): Promise<T> =>
  (await lab.succeed('exec', app.aid, '--', 'curl', '--silent', '--fail', '--max-time', '10', url)).json<T>();

test('an application is seen from its own address, and wakes another by its packets', async () => {
  const [asker, asked] = [await launch(lab, 'asker', node.launch), await launch(lab, 'asked', node.launch)];
  for (const { address } of [asker, asked]) await node.ready({ lab, address });
  const url = `http://${asked.address}:${node.port}`;
  expect(await fromInside(asker, `${url}/client`)).toEqual({ address: asker.address });
  await asked.sleep();
  expect(await fromInside(asker, `${url}/client`)).toEqual({ address: asker.address });
  expect(await asked.state()).toBe('running');
  for (const app of [asker, asked]) await app.remove();
});

test('the address stays taken while its application sleeps, and is free when it is removed', async () => {
  const sleeper = await launch(lab, 'sleeper', node.launch);
  await node.ready({ lab, address: sleeper.address });
  await sleeper.sleep();
  const other = await launch(lab, 'other', node.launch);
  expect(other.address).not.toBe(sleeper.address);
  await sleeper.remove();
  const heir = await launch(lab, 'heir', node.launch, ['--address', sleeper.address]);
  await node.ready({ lab, address: heir.address });
  expect(await curlJson({ lab, address: heir.address }, node.port, '/count')).toMatchObject({ count: 1 });
  for (const app of [other, heir]) await app.remove();
});

test('its interface is there exactly as long as it runs', async () => {
  await settledInventory(lab);
  const before = (await linksOf(lab, 'veth')).length;
  const app = await launch(lab, 'linked', node.launch);
  await eventually(async () => expect(await linksOf(lab, 'veth')).toHaveLength(before + 1));
  await app.sleep();
  await eventually(async () => expect(await linksOf(lab, 'veth')).toHaveLength(before));
  await app.wake();
  await eventually(async () => expect(await linksOf(lab, 'veth')).toHaveLength(before + 1));
  await app.remove();
  await eventually(async () => expect(await linksOf(lab, 'veth')).toHaveLength(before));
});

test('an address of the network that nobody has is unreachable, as on any network', async () => {
  await expect(lab.connect('10.10.200.200', 80)).rejects.toMatchObject({ code: 'EHOSTUNREACH' });
});

/** A connection as this machine's kernel has it when its other end has gone without a word: repair mode makes one of nothing. */
const LEFT_ALONE = `
import socket
TCP_REPAIR = 19
left = socket.socket()
left.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
left.connect(('10.10.200.200', 80))
left.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
left.settimeout(10)
try:
    left.send(b'x')
    left.recv(1)
except OSError as error:
    print(type(error).__name__)
`;

test('a connection to an address that nobody has any more is reset', async () => {
  expect((await lab.exec('python3', ['-c', LEFT_ALONE])).stdout).toBe('ConnectionResetError\n');
});
