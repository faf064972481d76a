/** An application that asks for itself: by the port of the machine that leads to it, as a client does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ChainSpec } from '../../src/api/index.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const GATEWAY = '10.10.0.1';
const OWN = '192.0.2.1';
const BRIDGE_FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';
const SERVER = `
import socket, threading
def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 80))
    while True: udp.sendto(socket.gethostname().encode(), udp.recvfrom(4096)[1])
threading.Thread(target=datagrams).start()
server = socket.create_server(('', 80))
while True:
    client, _ = server.accept()
    client.sendall(socket.gethostname().encode())
    client.close()
`;
const ASK = `
import socket, sys
tcp = socket.create_connection((sys.argv[1], 8080), 3)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(3)
udp.sendto(b'who', (sys.argv[1], 8080))
print(tcp.recv(99).decode(), udp.recv(99).decode())
`;

let lab: Lab;
let client: Client;

const write = (value: number): Promise<unknown> =>
  lab.exec('sh', ['-c', `if test -e ${BRIDGE_FILTER}; then echo ${value} > ${BRIDGE_FILTER}; fi`]);

beforeAll(async () => {
  lab = await createLab();
  await lab.exec('ip', ['address', 'add', `${OWN}/32`, 'dev', 'lo']);
  await lab.daemon();
  client = new Client(lab.runDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const ask = async (name: string, address: string): Promise<string> => {
  const { stdout } = await lab.succeed('exec', name, '--', 'python3', '-c', ASK, address);
  return stdout.trim();
};

// Where the kernel has no br_netfilter both are the same.
describe.each([0, 1])('with frames passing the rules of IP: %i', (filtered) => {
  test('reaches itself, and its neighbour does, before and after a sleep', async () => {
    await write(filtered);
    const publish = (['tcp', 'udp'] as const).map((protocol) => ({ port: 8080, target: 80, protocol }));
    const processes = [{ name: 'self', command: ['python3', '-c', SERVER] }];
    await client.run({ name: 'self', publish, processes } as unknown as ChainSpec);
    const waits = [{ name: 'beside', command: ['sleep', '1000'] }];
    await client.run({ name: 'beside', processes: waits } as unknown as ChainSpec);
    await eventually(() => ask('beside', GATEWAY));
    for (const address of [GATEWAY, OWN])
      for (const name of ['self', 'beside']) expect(await ask(name, address)).toBe('self self');
    await client.sleep('self');
    expect(await ask('beside', OWN)).toBe('self self');
    expect(await ask('self', GATEWAY)).toBe('self self');
    for (const name of ['self', 'beside']) await client.remove(name, { force: true });
  });
});
