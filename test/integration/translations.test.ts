/** The translation of each connection from the first port to the second, as `appshot ports` lists it, with real connections. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { AppView, ChainSpec, PortsView } from '../../src/api/index.ts';
import type { Dialogue } from '../support/dialogue.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

/** Tells its host's name to whoever connects, and to each datagram; echoes from then on. */
const SERVER = `
import socket, threading
def serve(client):
    client.sendall(socket.gethostname().encode() + b'\\n')
    while data := client.recv(4096): client.sendall(data)
def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 53))
    while True: udp.sendto(socket.gethostname().encode(), udp.recvfrom(4096)[1])
threading.Thread(target=datagrams).start()
server = socket.create_server(('', 80))
while True: threading.Thread(target=serve, args=(server.accept()[0],)).start()
`;
const ASKER = `
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 5353))
udp.settimeout(0.5)
for line in sys.stdin:
    answer = None
    while answer is None:
        udp.sendto(b'who', ('127.0.0.1', 8053))
        try: answer = udp.recvfrom(4096)[0].decode()
        except TimeoutError: pass
    print(answer, flush=True)
`;

let lab: Lab;
let client: Client;
const apps = new Map<string, AppView>();

const run = async (name: string, more: Partial<ChainSpec>): Promise<void> => {
  const processes = [{ name, command: ['python3', '-c', SERVER] }];
  apps.set(name, await client.run({ name, processes, ...more } as ChainSpec));
};

const addressOf = (name: string | null): string => apps.get(name ?? '')?.address ?? '';

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  client = new Client(lab.runDirectory);
  const publish: ChainSpec['publish'] = [{ port: 8080, target: 80, protocol: 'tcp' }];
  for (const name of ['one', 'two']) await run(name, { service: 'pair', publish });
  await run('other', {
    publish: [{ port: 8053, target: 53, protocol: 'udp' }],
  });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const hear = async (socket: Socket): Promise<string> =>
  String(((await once(socket, 'data')) as [Buffer])[0]).trim();

/** An open connection, and the instance that has it. */
const open = (): Promise<{ socket: Socket; instance: string }> =>
  eventually(async () => {
    const socket = await lab.connect('127.0.0.1', 8080);
    return { socket, instance: await hear(socket) };
  });

const connectionsOf = async (socket: Socket): Promise<PortsView['connections']> =>
  (await client.ports()).connections.filter((one) => one.client === `127.0.0.1:${socket.localPort}`);

test('lists each published port with the instances behind it', async () => {
  const { ports } = await client.ports();
  expect(
    ports.map(({ protocol, port, service, name, state, target, takesNew }) => ({
      name,
      ...{ protocol, port, service, state, target, takesNew },
    })),
  ).toEqual([
    ...['other'].map((name) => ({
      ...{ name, protocol: 'udp', port: 8053, service: name, state: 'running', takesNew: true },
      target: `${addressOf(name)}:53`,
    })),
    ...['one', 'two'].map((name) => ({
      ...{ name, protocol: 'tcp', port: 8080, service: 'pair', state: 'running', takesNew: true },
      target: `${addressOf(name)}:80`,
    })),
  ]);
  expect((await client.ports('one')).ports.map(({ name }) => name)).toEqual(['one']);
  await expect(client.ports('nobody')).rejects.toMatchObject({ code: 'APP_NOT_FOUND' });
});

test('names the instance that a connection has gone to, and both ports', async () => {
  const opened = [await open(), await open(), await open(), await open()];
  for (const { socket, instance } of opened)
    expect(await connectionsOf(socket)).toEqual([
      expect.objectContaining({
        protocol: 'tcp',
        first: '127.0.0.1:8080',
        second: `${addressOf(instance)}:80`,
        seen: expect.stringMatching(/^10\.10\.0\.1:\d+$/) as string,
        state: 'ESTABLISHED',
        aid: apps.get(instance)?.aid,
        name: instance,
      }),
    ]);
  expect(new Set(opened.map(({ instance }) => instance))).toEqual(new Set(['one', 'two']));
  const ofOne = (await client.ports('one')).connections.filter(({ state }) => state === 'ESTABLISHED');
  expect(ofOne.map((one) => one.client).toSorted()).toEqual(
    opened
      .filter(({ instance }) => instance === 'one')
      .map(({ socket }) => `127.0.0.1:${socket.localPort}`)
      .toSorted(),
  );
  const { stdout } = await lab.succeed('ports', 'one');
  expect(stdout).toMatch(
    /^PORT +LEADS TO +NAME +SERVICE +STATE +NEW CONNECTIONS\ntcp 8080 +10\.10\.\d+\.\d+:80 +one +pair +running +yes\n\nCLIENT /,
  );
  expect(stdout).toMatch(
    /\n127\.0\.0\.1:\d+ +tcp 127\.0\.0\.1:8080 +10\.10\.\d+\.\d+:80 +one +10\.10\.0\.1:\d+ +ESTABLISHED /,
  );
  for (const { socket } of opened) socket.destroy();
});

test('follows a connection through the sleep of its instance, and to its end', async () => {
  const { socket, instance } = await open();
  const [before] = await connectionsOf(socket);
  await client.sleep(instance);
  expect(await connectionsOf(socket)).toEqual([before]);
  expect((await client.ports(instance)).ports).toMatchObject([{ state: 'asleep', takesNew: false }]);
  socket.write('there?\n');
  expect(await hear(socket)).toBe('there?');
  expect(await connectionsOf(socket)).toEqual([before]);
  await eventually(async () =>
    expect((await client.ports(instance)).ports).toMatchObject([{ state: 'running', takesNew: true }]),
  );
  socket.end();
  await once(socket, 'close');
  await eventually(async () =>
    expect((await connectionsOf(socket)).map(({ state }) => state)).not.toContain('ESTABLISHED'),
  );
});

test('lists senders of datagrams too', async () => {
  const asker: Dialogue = await lab.talk('python3', ['-c', ASKER]);
  asker.tell('ask');
  await asker.hear(/^other$/);
  const { connections } = await client.ports('other');
  expect(connections).toEqual([
    expect.objectContaining({
      protocol: 'udp',
      client: '127.0.0.1:5353',
      first: '127.0.0.1:8053',
      second: `${addressOf('other')}:53`,
      state: 'udp',
      name: 'other',
    }),
  ]);
  await asker.close();
});

test('has nothing of an application that is gone but connections that end', async () => {
  const { socket, instance } = await open();
  const [{ second } = { second: '' }] = await connectionsOf(socket);
  await client.remove(instance, { force: true });
  const { ports, connections } = await client.ports();
  expect(ports.map(({ name }) => name)).not.toContain(instance);
  for (const one of connections.filter((each) => each.second === second))
    expect(one).toMatchObject({ aid: null, name: null });
  socket.destroy();
});
