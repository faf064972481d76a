/** An application that asks for itself: by the port of the machine that leads to it, as a client does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ChainSpec } from '../../src/api/index.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const GATEWAY = '10.10.0.1';
const OWN = '192.0.2.1';
/** Who answers, and whom it takes for the client, whether or not it slept when it was asked. */
const SEEN = `self ${GATEWAY}`;
const BRIDGE_FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';
/** Tells each client its own name and the address that it takes the client for; on TCP it then repeats what it hears. */
const SERVER = `
import socket, threading
def words(peer): return f'{socket.gethostname()} {peer[0]}'.encode()
def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 80))
    while True:
        peer = udp.recvfrom(4096)[1]
        udp.sendto(words(peer), peer)
def repeat(client, peer):
    client.sendall(words(peer))
    while data := client.recv(99): client.sendall(data)
threading.Thread(target=datagrams).start()
server = socket.create_server(('', 80))
while True: threading.Thread(target=repeat, args=server.accept()).start()
`;
/** Listens until two have come, and then only answers those. */
const TWICE = `
import socket, threading
server = socket.create_server(('', 81))
clients = [server.accept()[0] for _ in range(2)]
server.close()
def repeat(client):
    while data := client.recv(99): client.sendall(data)
for client in clients: threading.Thread(target=repeat, args=[client]).start()
`;
/** Says what it is told over one connection, and tells what comes back. */
const TALK = `
import socket, sys
tcp = socket.create_connection((sys.argv[1], 8081), 9)
for line in sys.stdin:
    tcp.sendall(line.encode())
    print(tcp.recv(99).decode(), end='', flush=True)
`;
/** Both begin before either is answered, and go on after. */
const ASK = `
import socket, sys
tcp = socket.create_connection((sys.argv[1], 8080), 3)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(3)
heard = []
for _ in range(2):
    udp.sendto(b'who', (sys.argv[1], 8080))
    heard += [tcp.recv(99), udp.recv(99)]
    tcp.sendall(heard[0])
print(*{one.decode() for one in heard})
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
      for (const name of ['self', 'beside']) expect(await ask(name, address)).toBe(SEEN);
    await client.sleep('self');
    expect(await ask('beside', OWN)).toBe(SEEN);
    expect(await ask('self', GATEWAY)).toBe(SEEN);
    for (const name of ['self', 'beside']) await client.remove(name, { force: true });
  });
});

const run = (name: string, script: string, publish: object[] = []): Promise<unknown> => {
  const processes = [{ name, command: ['python3', '-c', script] }];
  return client.run({ name, publish, processes } as unknown as ChainSpec);
};
const listening = async (name: string): Promise<unknown> => (await client.inspect(name)).listening;

test('a sleeper that listens no more is woken by the connections that it has', async () => {
  await write(0);
  await run('twice', TWICE, [{ port: 8081, target: 81, protocol: 'tcp' }]);
  await run('beside', 'import time; time.sleep(1000)');
  await eventually(async () => expect(await listening('twice')).toHaveLength(1));
  const [process] = (await client.inspect('beside')).processes;
  const inside = ['nsenter', `--net=/proc/${process?.systemPid}/ns/net`, '--'];
  const talk = ['python3', '-uc', TALK];
  const clients = [
    await lab.talk('env', [...inside, ...talk, GATEWAY]),
    await lab.talk('env', [...talk, '127.0.0.1']),
  ];
  const all = async (word: string): Promise<void> => {
    for (const one of clients) {
      one.tell(word);
      await one.hear(new RegExp(`^${word}$`));
    }
  };
  await all('hello');
  expect(await listening('twice')).toEqual([]);
  // Each of them finds it asleep.
  for (const one of clients) {
    await client.sleep('twice');
    one.tell('still there');
    await one.hear(/^still there$/);
  }
  await all('goodbye');
  for (const one of clients) await one.close();
  for (const name of ['twice', 'beside']) await client.remove(name, { force: true });
});
