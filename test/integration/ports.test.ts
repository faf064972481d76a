/** Packets to ports on which a sleeping application does not listen are answered as if it were awake, and do not wake it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import { PYTHON } from '../support/programs/program.ts';

const CLOSED_PORT = 9;
const UDP_PORT = 5353;
const REFUSED_WITHIN_MS = 1000;

/** Sends a datagram from a connected socket and tells whether a refusal comes back within half a second. */
/** Rules refuse a local sender's datagram in the call that sends it; from elsewhere, and awake, the answer comes by ICMP. */
const DATAGRAM = `
import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.settimeout(0.5)
client.connect((sys.argv[1], int(sys.argv[2])))
try:
    client.send(b"knock")
    client.recv(16)
except (ConnectionRefusedError, PermissionError):
    print("refused")
except TimeoutError:
    print("taken")
`;

let lab: Lab;
let app: Application;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  app = await launch(lab, 'ports', kitchen.launch);
  await kitchen.ready({ lab, address: app.address });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const expectRefused = async (port: number): Promise<void> => {
  const began = performance.now();
  await expect(lab.connect(app.address, port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(performance.now() - began).toBeLessThan(REFUSED_WITHIN_MS);
};

const datagram = async (port: number): Promise<string> =>
  (await lab.exec(PYTHON, ['-c', DATAGRAM, app.address, String(port)])).stdout.trim();

test('a connection to a closed port is refused, awake and asleep, and wakes nobody', async () => {
  await expectRefused(CLOSED_PORT);
  await app.sleep();
  for (let knock = 0; knock < 10; knock += 1) await expectRefused(CLOSED_PORT + knock);
  expect(await app.state()).toBe('asleep');
});

test('a datagram to a closed port is refused, awake and asleep, and wakes nobody', async () => {
  await app.wake();
  expect(await datagram(CLOSED_PORT)).toBe('refused');
  await app.sleep();
  expect(await datagram(CLOSED_PORT)).toBe('refused');
  expect(await app.state()).toBe('asleep');
});

test('a datagram to an open port wakes it', async () => {
  if ((await app.state()) !== 'asleep') await app.sleep();
  expect(await datagram(UDP_PORT)).toBe('taken');
  expect(await app.state()).toBe('running');
});

test('after knocks at closed ports the open port still wakes it', async () => {
  await app.sleep();
  await expectRefused(CLOSED_PORT);
  await kitchen.ready({ lab, address: app.address });
  expect(await app.state()).toBe('running');
});
