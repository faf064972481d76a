/** Which packets to a running application count, seen by its port's guard and its own kernel. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { run, start } from '../../src/exec/index.ts';
import type { Started } from '../../src/exec/index.ts';
import type { Network } from '../../src/network/network.ts';
import { PortGuard } from '../../src/network/port-guard.ts';
import { Arrivals } from '../../src/scheduler/arrivals.ts';
import { PREFIX, datagrams, makeMachine } from '../support/border-lab.ts';
import type { Machine, Place, Resident } from '../support/border-lab.ts';
import { eventually } from '../support/eventually.ts';
import { PYTHON, fixture } from '../support/programs/program.ts';

const [GATEWAY, APPLICATION, NEIGHBOUR, CHECKER] = ['10.21.0.1', '10.21.0.2', '10.21.0.3', '10.21.0.4'];
const [OPEN, CLOSED, AT_HOME] = [7000, 7001, 7002];
/** Echoes at a port, TCP and UDP; a line of input makes it knock at ports of its own, closed and open, over loopback. */
const SERVER = `
import socket, sys, threading
stream = socket.create_server(('', ${OPEN}))
def datagrams(at):
    while True:
        data, peer = at.recvfrom(100)
        if data == b'answer': at.sendto(data, peer)
def echo(peer):
    with peer:
        for data in iter(lambda: peer.recv(100), b''): peer.sendall(data)
def connections():
    while True: threading.Thread(target=echo, args=stream.accept()[:1]).start()
udp = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for one, at in zip(udp, [('', ${OPEN}), ('127.0.0.1', ${AT_HOME})]):
    one.bind(at)
    threading.Thread(target=datagrams, args=(one,), daemon=True).start()
threading.Thread(target=connections, daemon=True).start()
print('ready', flush=True)
for line in sys.stdin:
    for turn in range(20):
        try: socket.create_connection(('127.0.0.1', ${CLOSED}))
        except ConnectionRefusedError: pass
        with socket.create_connection(('127.0.0.1', ${OPEN})) as peer:
            peer.sendall(b'x')
            peer.recv(1)
        for port in (${CLOSED}, ${AT_HOME}):
            with socket.socket(type=socket.SOCK_DGRAM) as one: one.sendto(b'x', ('127.0.0.1', port))
    print('talked', flush=True)
`;

let machine: Machine;
let network: Network;
let guard: PortGuard;
let application: Resident;
let neighbour: Resident;
let checker: Resident;
let server: Started;
let arrivals: Arrivals;
let at: { aid: string; address: string };

const inside = (place: Place, ...words: string[]) =>
  run('nsenter', [`--net=${place.namespace.path}`, '--', ...words], { acceptExit: [0, 1] });
const count = (): number => arrivals.of(at, server.pid);

/** How many packets counted while something happened. */
const counted = async (action: () => Promise<unknown>): Promise<number> => {
  const before = count();
  await action();
  // A look at the guard serves for a while, and what is delivered late is seen at the look after.
  const last = Date.now() + 100;
  await eventually(() => {
    count();
    expect(Date.now()).toBeGreaterThan(last);
  });
  return count() - before;
};

const talk = async (): Promise<void> => {
  server.stdin?.write('go\n');
  await once(server.stdout as NodeJS.ReadableStream, 'data');
};

const scan = async (place: Place, source: string): Promise<void> => {
  const spared = [OPEN].map(String);
  const { stdout } = await inside(place, PYTHON, fixture('scan.py'), 'ports', source, APPLICATION, ...spared);
  expect(Number(stdout.split(' ')[0])).toBeGreaterThan(100_000);
};

const sendFrom = async (place: Place, port: number, data: string): Promise<void> => {
  const socket = await datagrams(place);
  await new Promise((resolve) => socket.send(data, port, APPLICATION, resolve));
  socket.close();
};

/** The application's last words count too, and come before this settles. */
const hangUp = async (socket: Socket): Promise<void> => {
  const closed = once(socket.resume(), 'close');
  socket.end();
  await closed;
};

const askFrom = async ({ namespace }: Place): Promise<void> => {
  const socket = await namespace.connect(APPLICATION, OPEN);
  socket.write('x');
  await once(socket, 'data');
  await hangUp(socket);
};

beforeAll(async () => {
  machine = await makeMachine('a');
  network = machine.network('arr', '10.21.0.0/16');
  guard = machine.visit(() => new PortGuard('appshot_a', PREFIX));
  [application, neighbour, checker] = [
    await machine.application(network, APPLICATION),
    await machine.application(network, NEIGHBOUR),
    await machine.application(network, CHECKER),
  ];
  for (const app of [application, neighbour, checker])
    machine.visit(() => {
      guard.bind(app.interface, app, app === application ? [`${CHECKER}/30`, '10.21.0.4/32'] : []);
      network.connect(app.address, app.port);
    });
  const args = [`--net=${application.namespace.path}`, '--', PYTHON, '-c', SERVER];
  server = await start('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(server.stdout as NodeJS.ReadableStream, 'data');
  at = { aid: 'an application', address: APPLICATION };
});

beforeEach(() => {
  arrivals = new Arrivals(() => machine.visit(() => guard.heard()));
  count();
});

afterAll(async () => {
  await server.stop();
  guard.dispose();
  await machine[Symbol.asyncDispose]();
});

test('a request counts, from a neighbour and from this machine', async () => {
  expect(await counted(() => askFrom(neighbour))).toBeGreaterThan(1);
  expect(await counted(() => askFrom(machine))).toBeGreaterThan(1);
  const socket = await neighbour.namespace.connect(APPLICATION, OPEN);
  const speak = async (): Promise<void> => {
    socket.write('more');
    await once(socket, 'data');
  };
  expect(await counted(speak)).toBeGreaterThan(0);
  expect(await counted(async () => undefined)).toBe(0);
  await hangUp(socket);
});

test('a datagram counts, answered or not', async () => {
  expect(await counted(() => sendFrom(neighbour, OPEN, 'answer'))).toBe(1);
  expect(await counted(() => sendFrom(machine, OPEN, 'silence'))).toBe(1);
});

test('what goes to a closed port does not, nor does a ping, a broadcast or a question for its address', async () => {
  expect(await counted(() => expect(askAt(CLOSED)).rejects.toThrow('ECONNREFUSED'))).toBe(0);
  expect(await counted(() => sendFrom(neighbour, CLOSED, 'x'))).toBe(0);
  const broadcast = `
import socket
one = socket.socket(type=socket.SOCK_DGRAM)
one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for address in ('10.21.255.255', '255.255.255.255', '224.0.0.1'): one.sendto(b'x', (address, ${OPEN}))`;
  expect(await counted(() => inside(neighbour, PYTHON, '-c', broadcast))).toBe(0);
  const hosts = ['hosts', NEIGHBOUR, String(CLOSED), APPLICATION];
  expect(await counted(() => inside(neighbour, PYTHON, fixture('scan.py'), ...hosts))).toBe(0);
});

const askAt = (port: number) => neighbour.namespace.connect(APPLICATION, port);

test('a scan of all other ports does not count, and hides no request', async () => {
  expect(await counted(() => scan(neighbour, NEIGHBOUR))).toBe(0);
  expect(await counted(() => scan(machine, GATEWAY))).toBe(0);
  const both = () =>
    Promise.all([scan(machine, GATEWAY), askFrom(neighbour), sendFrom(neighbour, OPEN, 'x')]);
  expect(await counted(both)).toBeGreaterThan(1);
});

test('what an application says to itself does not count, and hides nothing', async () => {
  expect(await counted(talk)).toBe(0);
  expect(await counted(() => Promise.all([talk(), sendFrom(neighbour, OPEN, 'x')]))).toBe(1);
  expect(await counted(() => Promise.all([talk(), askFrom(neighbour)]))).toBeGreaterThan(1);
  expect(await counted(() => sendFrom(neighbour, CLOSED, 'x'))).toBe(0);
});

test('who is ignored does not count, whatever is asked', async () => {
  expect(await counted(() => askFrom(checker))).toBe(0);
  expect(await counted(() => sendFrom(checker, OPEN, 'answer'))).toBe(0);
  expect(await counted(() => scan(checker, CHECKER))).toBe(0);
  expect(await counted(() => askFrom(neighbour))).toBeGreaterThan(1);
});

test('with another environment it begins again', () => {
  expect(arrivals.of(at, process.pid)).toBe(0);
  expect(guard.heard().get(APPLICATION)?.answers).toBeGreaterThan(0);
  machine.visit(() => guard.bind(application.interface, application));
  expect(guard.heard().get(APPLICATION)).toEqual({ answers: 0, datagrams: 0 });
});
