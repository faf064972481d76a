/** The networking half of the door to the kernel, in network namespaces of the test's own. Needs root. */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { makeNetworkNamespace } from '../support/network-namespace.ts';

const HOST_MAC = '02:00:00:00:00:01';
const APP_MAC = '02:00:00:00:00:05';
const hostName = `appshot-test-${process.pid}h`;
const appName = `appshot-test-${process.pid}a`;

/** What one of the kernel's refusals looks like to a test. */
const refusal = (call: () => unknown): kernel.KernelError => {
  try {
    call();
  } catch (error) {
    if (error instanceof kernel.KernelError) return error;
    throw error;
  }
  throw new Error('the call was not refused');
};

/** A bridge with a sentinel port in one namespace, and an application's end of a veth in the other. */
const makeHost = async () => {
  const namespaces = [await makeNetworkNamespace(hostName), await makeNetworkNamespace(appName)] as const;
  const [hostFd, appFd] = [kernel.openFd(namespaces[0].path), kernel.openFd(namespaces[1].path)];
  const host = kernel.withNetworkNamespace(hostFd, () => kernel.NetlinkSocket.open());
  const app = kernel.withNetworkNamespace(appFd, () => kernel.NetlinkSocket.open());
  const bridge = kernel.createBridge(host, 'br0', { mac: HOST_MAC });
  const port = kernel.createVethPair(host, { name: 'sentinel0', peerName: 'sentinel1' });
  const ear = kernel.linkByName(host, 'sentinel1')?.index ?? 0;
  const veth = kernel.createVethPair(host, {
    name: 'app0',
    peerName: 'eth0',
    peerNamespaceFd: appFd,
    peerMac: APP_MAC,
    mtu: 1400,
  });
  const eth0 = kernel.linkByName(app, 'eth0')?.index ?? 0;
  for (const index of [bridge, port, ear, veth]) kernel.setLink(host, index, { up: true });
  kernel.setLink(host, port, { master: bridge });
  kernel.setLink(app, eth0, { up: true });
  kernel.addAddress(host, bridge, { address: '10.99.0.1', prefix: 16, broadcast: '10.99.255.255' });
  kernel.addAddress(app, eth0, { address: '10.99.0.5', prefix: 16 });
  return { namespaces, hostFd, appFd, host, app, bridge, ear, veth, eth0 };
};

let lab: Awaited<ReturnType<typeof makeHost>>;

beforeAll(async () => {
  lab = await makeHost();
});

afterAll(async () => {
  lab.host.close();
  lab.app.close();
  for (const fd of [lab.hostFd, lab.appFd]) kernel.close(fd);
  for (const namespace of lab.namespaces) namespace.close();
  for (const name of [hostName, appName]) await run('ip', ['netns', 'del', name]);
});

/** A bound UDP socket inside a namespace: the look-up is answered, and the socket made, during the visit. */
const udpSocket = async (fd: number, port: number): Promise<UdpSocket> => {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, answer) => kernel.withNetworkNamespace(fd, () => answer(null, host, 4)),
  });
  const listening = once(socket, 'listening');
  socket.bind(port);
  await listening;
  return socket;
};

describe('namespaces', () => {
  test('a visit comes back, from nested visits and exceptions too', () => {
    const here = () => readFileSync('/proc/thread-self/net/dev', 'utf8');
    const home = here();
    kernel.withNetworkNamespace(lab.hostFd, () => {
      kernel.withNetworkNamespace(lab.appFd, () => expect(here()).toContain('eth0'));
      expect(here()).toContain('br0');
    });
    const broken = () => kernel.withNetworkNamespace(lab.hostFd, () => expect.fail('inside'));
    expect(broken).toThrow('inside');
    expect(() => kernel.withNetworkNamespace(lab.hostFd, async () => 1)).toThrow(TypeError);
    expect(here().match(/^ *\S+:/gm)).toEqual(home.match(/^ *\S+:/gm));
  });

  test('the namespace of a process can be opened; that of none cannot', () => {
    const fd = kernel.openNamespace(process.pid, 'net');
    expect(kernel.withNetworkNamespace(fd, () => 7)).toBe(7);
    kernel.close(fd);
    expect(refusal(() => kernel.openNamespace(2 ** 22 + 1, 'net')).errno).toBe('ENOENT');
  });
});

describe('rtnetlink', () => {
  test('links are read and changed', () => {
    expect(kernel.linkByName(lab.host, 'app0')).toMatchObject({
      index: lab.veth,
      up: true,
      carrier: true,
      master: 0,
      mtu: 1400,
    });
    expect(kernel.linkByName(lab.app, 'eth0')).toMatchObject({ mac: APP_MAC, mtu: 1400 });
    expect(kernel.linkByName(lab.host, 'absent')).toBeUndefined();
    kernel.setLink(lab.host, lab.veth, { master: lab.bridge, mtu: 1300 });
    expect(kernel.linkByName(lab.host, 'app0')).toMatchObject({ master: lab.bridge, mtu: 1300 });
    kernel.setLink(lab.host, lab.veth, { master: 0, mtu: 1400 });
    expect(kernel.linkByName(lab.host, 'app0')).toMatchObject({ master: 0, mtu: 1400 });
    const names = kernel.listLinks(lab.host).map(({ name }) => name);
    expect(names.toSorted()).toEqual(['app0', 'br0', 'lo', 'sentinel0', 'sentinel1']);
  });

  test('a link is renamed and deleted, its peer with it', () => {
    const index = kernel.createVethPair(lab.host, {
      name: 'spare0',
      peerName: 'spare1',
      mac: '02:00:00:00:00:09',
    });
    kernel.setLink(lab.host, index, { name: 'other0' });
    expect(kernel.linkByName(lab.host, 'other0')?.mac).toBe('02:00:00:00:00:09');
    kernel.deleteLink(lab.host, index);
    expect(kernel.linkByName(lab.host, 'spare1')).toBeUndefined();
    expect(refusal(() => kernel.deleteLink(lab.host, index)).errno).toBe('ENODEV');
  });

  test('a refusal carries its name, its number and what the kernel says', () => {
    const taken = refusal(() => kernel.createBridge(lab.host, 'br0'));
    expect(taken).toMatchObject({ errno: 'EEXIST', code: 17, call: 'RTM_NEWLINK br0' });
    const address = { address: '10.98.0.1', prefix: 40 };
    expect(refusal(() => kernel.addAddress(lab.host, lab.bridge, address)).message).toContain(
      'Invalid prefix length',
    );
  });

  test('addresses are listed', () => {
    expect(kernel.listAddresses(lab.host, lab.bridge)).toEqual([
      { index: lab.bridge, address: '10.99.0.1', prefix: 16, broadcast: '10.99.255.255' },
    ]);
  });

  test('routes are added, listed and deleted', () => {
    const added: kernel.Route[] = [
      { destination: '10.96.0.0', prefix: 16, type: 'unicast', index: lab.bridge, metric: 0 },
      {
        destination: '10.97.0.0',
        prefix: 16,
        type: 'unicast',
        gateway: '10.99.0.5',
        index: lab.bridge,
        metric: 7,
      },
      { destination: '10.98.0.0', prefix: 16, type: 'unreachable', metric: 9 },
    ];
    for (const route of added) kernel.addRoute(lab.host, route);
    expect(kernel.listRoutes(lab.host)).toEqual(expect.arrayContaining(added));
    for (const route of added) kernel.deleteRoute(lab.host, route);
    expect(kernel.listRoutes(lab.host).map(({ destination }) => destination)).toEqual(['10.99.0.0']);
    expect(refusal(() => kernel.deleteRoute(lab.host, added[2]!)).errno).toBe('ESRCH');
  });

  test('neighbours are entered, listed and forgotten', () => {
    const entry = { index: lab.bridge, address: '10.99.0.7', mac: APP_MAC, state: 'permanent' } as const;
    kernel.setNeighbour(lab.host, entry);
    kernel.setNeighbour(lab.host, { ...entry, mac: HOST_MAC });
    // The kernel's own entries for multicast need no resolution.
    const entries = () =>
      kernel.listNeighbours(lab.host, lab.bridge).filter(({ state }) => state !== 'noarp');
    expect(entries()).toEqual([{ ...entry, mac: HOST_MAC }]);
    kernel.deleteNeighbour(lab.host, entry);
    kernel.deleteNeighbour(lab.host, entry);
    expect(entries()).toEqual([]);
  });

  test("an interface's neighbour parameters are those of /proc/sys", async () => {
    kernel.setNeighbourParameters(lab.host, lab.bridge, {
      multicastProbes: 30,
      retransmitMs: 2000,
      queueBytes: 1 << 20,
    });
    const path = '/proc/sys/net/ipv4/neigh/br0';
    const files = ['mcast_solicit', 'retrans_time_ms', 'unres_qlen_bytes'].map((file) => `${path}/${file}`);
    const { stdout } = await run('ip', ['netns', 'exec', hostName, 'cat', ...files]);
    expect(stdout.trim().split('\n')).toEqual(['30', '2000', '1048576']);
    expect(refusal(() => kernel.setNeighbourParameters(lab.host, 999, { queueBytes: 1 })).errno).toBe(
      'ENOENT',
    );
  });
});

describe('ARP', () => {
  test('the sentinel hears the question, and the neighbour entry lets the held packet go', async () => {
    const server = await udpSocket(lab.appFd, 7777);
    const client = await udpSocket(lab.hostFd, 0);
    const asked = Promise.withResolvers<kernel.ArpQuestion>();
    const listener = kernel.withNetworkNamespace(lab.hostFd, () =>
      kernel.listenArp('sentinel1', asked.resolve, asked.reject),
    );
    try {
      const arrived = once(server, 'message');
      client.send('held', 7777, '10.99.0.5');
      const question = await asked.promise;
      expect(question).toMatchObject({
        sourceMac: HOST_MAC,
        sourceAddress: '10.99.0.1',
        targetAddress: '10.99.0.5',
      });
      const before = kernel.monotonicNow();
      kernel.setLink(lab.host, lab.veth, { master: lab.bridge });
      const entry = { index: lab.bridge, address: '10.99.0.5', mac: APP_MAC, state: 'reachable' } as const;
      kernel.setNeighbour(lab.host, entry);
      expect(String((await arrived)[0])).toBe('held');
      // The next question would come after the 2 s set above: the packet did not wait for it.
      expect(Number(kernel.monotonicNow() - before) / 1e6).toBeLessThan(1000);
    } finally {
      kernel.setLink(lab.host, lab.veth, { master: 0 });
      kernel.deleteNeighbour(lab.host, { index: lab.bridge, address: '10.99.0.5' });
      await listener.close();
      server.close();
      client.close();
    }
  });

  test('a storm of one question is one question a turn; an interface that goes down is reported', async () => {
    const heard: kernel.ArpQuestion[] = [];
    const last = Promise.withResolvers<void>();
    const failed = Promise.withResolvers<kernel.KernelError>();
    const onQuestion = (question: kernel.ArpQuestion): void => {
      heard.push(question);
      if (question.targetAddress === '10.99.0.10') last.resolve();
    };
    const listener = kernel.withNetworkNamespace(lab.hostFd, () =>
      kernel.listenArp('sentinel1', onQuestion, failed.resolve),
    );
    const sender = kernel.withNetworkNamespace(lab.hostFd, () => new kernel.FrameSocket());
    const ask = (targetAddress: string): void =>
      sender.send(
        lab.bridge,
        kernel.encodeArpRequest({ sourceMac: HOST_MAC, sourceAddress: '10.99.0.1', targetAddress }),
      );
    for (let count = 0; count < 900; count++) ask('10.99.0.9');
    ask('10.99.0.10');
    await last.promise;
    expect(heard.map(({ targetAddress }) => targetAddress)).toEqual(['10.99.0.9', '10.99.0.10']);
    kernel.setLink(lab.host, lab.ear, { up: false });
    expect((await failed.promise).errno).toBe('ENETDOWN');
    kernel.setLink(lab.host, lab.ear, { up: true });
    await listener.close();
    sender.close();
    const absent = () => kernel.listenArp('absent', onQuestion, failed.resolve);
    expect(refusal(() => kernel.withNetworkNamespace(lab.hostFd, absent)).errno).toBe('ENODEV');
  });
});

describe('sock_diag', () => {
  test('a listener and its connections are seen, IPv4 as IPv4', async () => {
    const server = createServer();
    kernel.withNetworkNamespace(lab.appFd, () => server.listen(0));
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = await lab.namespaces[1].connect('127.0.0.1', port);
    const [connection] = await accepted;
    const nl = kernel.withNetworkNamespace(lab.appFd, () =>
      kernel.NetlinkSocket.open(kernel.NETLINK_SOCK_DIAG),
    );
    const sockets = kernel.listSockets(nl, { protocol: 'tcp', family: 'both' });
    const own = sockets.filter(({ localPort }) => localPort === port);
    expect(own.find(({ state }) => state === 'LISTEN')).toMatchObject({ localAddress: '::', uid: 0 });
    expect(own.find(({ state }) => state === 'ESTABLISHED')).toMatchObject({
      localAddress: '127.0.0.1',
      remoteAddress: '127.0.0.1',
      remotePort: client.localPort,
      receiveQueue: 0,
    });
    expect(sockets.every(({ inode }) => inode > 0)).toBe(true);
    const udp = await udpSocket(lab.appFd, 7778);
    const unconnected = { state: 'CLOSE', localAddress: '0.0.0.0', localPort: 7778, remotePort: 0 };
    expect(kernel.listSockets(nl, { protocol: 'udp', family: 4 })).toMatchObject([unconnected]);
    udp.close();
    nl.close();
    client.destroy();
    connection.destroy();
    server.close();
    await once(server, 'close');
  });
});

describe('unix_diag', () => {
  test('abstract sockets are seen by name', async () => {
    const server = createServer();
    kernel.withNetworkNamespace(lab.appFd, () => server.listen('\0appshot-kernel'));
    using nl = kernel.withNetworkNamespace(lab.appFd, () =>
      kernel.NetlinkSocket.open(kernel.NETLINK_SOCK_DIAG),
    );
    const listening = { type: 'stream', state: 'LISTEN', path: '@appshot-kernel', receiveQueue: 0 };
    expect(kernel.listUnixSockets(nl)).toMatchObject([listening]);
    server.close();
    await once(server, 'close');
  });
});

describe('nftables', () => {
  const table = { family: 'inet', name: 'shot' };
  const chain = {
    family: 'inet',
    table: 'shot',
    name: 'in',
    type: 'filter',
    hook: 'input',
    prio: 0,
    policy: 'accept',
  };
  const set = { family: 'inet', table: 'shot', name: 'asleep', type: 'ipv4_addr', elem: ['10.99.0.5'] };
  const source = { payload: { protocol: 'ip', field: 'saddr' } };
  const expr = [{ match: { op: '==', left: source, right: '@asleep' } }, { drop: null }];

  test.runIf(kernel.Nftables.available())('a batch takes effect whole or not at all', () => {
    kernel.withNetworkNamespace(lab.hostFd, () => {
      using nft = new kernel.Nftables();
      nft.run([{ add: { table } }, { add: { chain } }, { add: { set } }]);
      nft.run([{ add: { rule: { family: 'inet', table: 'shot', chain: 'in', expr } } }]);
      const listed = nft.run([{ list: { table } }, { list: { chains: {} } }]);
      expect(listed).toContainEqual({
        set: expect.objectContaining({ name: 'asleep', elem: ['10.99.0.5'] }),
      });
      expect(listed).toContainEqual({ rule: expect.objectContaining({ chain: 'in', expr }) });
      expect(listed.filter((found) => 'chain' in found)).toHaveLength(2);
      const half = [
        { add: { table: { family: 'ip', name: 'half' } } },
        { delete: { table: { family: 'ip', name: 'none' } } },
      ];
      const refused = refusal(() => nft.run(half));
      expect(refused).toMatchObject({ call: 'nft', errno: 'ENOENT' });
      expect(refused.message).toContain('No such file or directory');
      expect(nft.run([{ list: { tables: {} } }])).toHaveLength(1);
      expect(refusal(() => nft.run([{ bogus: 1 }])).errno).toBe('EINVAL');
      nft.run([{ delete: { table } }]);
    });
  });
});

describe('clocks', () => {
  test('the boot-time clock is not behind the monotonic one', () => {
    expect(kernel.boottimeNow() + 1_000_000n >= kernel.monotonicNow()).toBe(true);
  });
});
