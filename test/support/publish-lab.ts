/**
 * A machine with two networks, instances in them, and a client outside, each in a network namespace of its own that has no way out.
 * Instances are echo servers: on TCP each says first whom it sees, on UDP with each answer.
 */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { Publisher } from '../../src/network/publish.ts';
import type { Side } from '../../src/network/publish-rules.ts';
import { parseNetwork } from '../../src/registry/index.ts';
import { eventually } from './eventually.ts';
import { makeNetworkNamespace } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export const MACHINE = '192.0.2.1';
export const OUTSIDE = '192.0.2.2';
/** How long the machine's kernel holds what is meant for an address that does not answer yet: 30 s. */
const PATIENT = { multicastProbes: 120, retransmitMs: 250 } as const;
export const BRIDGED = 'net.bridge.bridge-nf-call-iptables';
export const SIDES: readonly Side[] = [
  { bridge: 'br0', cidr: parseNetwork('10.99.0.0/16') },
  { bridge: 'br1', cidr: parseNetwork('10.98.0.0/16') },
];

/** What a server says of a client. */
export interface Greeting {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
}

export interface Place {
  readonly namespace: NetworkNamespace;
  readonly fd: number;
}

export interface Instance extends Place {
  readonly address: string;
  /** Index of the veth's outer end; its bridge is `br0` or `br1`. */
  readonly link: number;
  readonly bridge: number;
  readonly mac: string;
}

const within = <T>({ fd }: Place, visit: () => T): T => kernel.withNetworkNamespace(fd, visit);

/** Sets what /proc/sys calls so, in a namespace. */
export const setting = (place: Place, name: string, value: number): void =>
  within(place, () => writeFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, String(value)));

export const knows = (place: Place, name: string): boolean =>
  within(place, () => existsSync(`/proc/sys/${name.replaceAll('.', '/')}`));

/** A bound UDP socket inside a namespace. */
export const udpSocket = async (place: Place, port = 0, address?: string): Promise<UdpSocket> => {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, answer) => within(place, () => answer(null, host, 4)),
  });
  const listening = once(socket, 'listening');
  socket.bind(port, address);
  await listening;
  return socket;
};

export class PublishLab {
  readonly #ends: (() => unknown)[] = [];
  readonly #sockets = new Set<Socket>();
  #count = 0;
  machine!: Place;
  outside!: Place;

  static async make(): Promise<PublishLab> {
    const lab = new PublishLab();
    lab.machine = await lab.#place('machine');
    lab.outside = await lab.#place('outside');
    const ip = (...words: string[]) => run('ip', ['-n', lab.machine.namespace.name, ...words]);
    for (const { bridge, cidr } of SIDES) {
      // Of its own, or it would change with the ports.
      const mac = `02:00:00:00:01:0${bridge.at(-1)}`;
      await ip('link', 'add', bridge, 'up', 'address', mac, 'type', 'bridge');
      await ip('address', 'add', cidr.cidr.replace('.0.0/', '.0.1/'), 'dev', bridge);
    }
    await ip('link', 'add', 'out0', 'type', 'veth', 'peer', 'eth0', 'netns', lab.outside.namespace.name);
    await ip('address', 'add', `${MACHINE}/24`, 'dev', 'out0');
    await ip('link', 'set', 'out0', 'up');
    await run('ip', ['-n', lab.outside.namespace.name, 'address', 'add', `${OUTSIDE}/24`, 'dev', 'eth0']);
    await run('ip', ['-n', lab.outside.namespace.name, 'link', 'set', 'eth0', 'up']);
    setting(lab.machine, 'net.ipv4.ip_forward', 1);
    using host = within(lab.machine, () => kernel.NetlinkSocket.open());
    for (const { bridge } of SIDES)
      kernel.setNeighbourParameters(host, kernel.linkByName(host, bridge)?.index ?? 0, PATIENT);
    return lab;
  }

  async #place(name: string): Promise<Place> {
    const namespace = await makeNetworkNamespace(`appshot-test-${process.pid}-${name}`);
    const fd = kernel.openFd(namespace.path);
    this.#ends.push(async () => {
      kernel.close(fd);
      namespace.close();
      await run('ip', ['netns', 'del', namespace.name]);
    });
    return { namespace, fd };
  }

  /** An address behind a bridge, whose servers listen at port 80. */
  async instance(address: string, { attached = true } = {}): Promise<Instance> {
    const place = await this.#place(address);
    const [side, gateway] = address.startsWith('10.99.') ? ['br0', '10.99.0.1'] : ['br1', '10.98.0.1'];
    using host = within(this.machine, () => kernel.NetlinkSocket.open());
    using inner = within(place, () => kernel.NetlinkSocket.open());
    const bridge = kernel.linkByName(host, side)?.index ?? 0;
    const name = `veth${++this.#count}`;
    const mac = `02:00:00:00:00:${this.#count.toString(16).padStart(2, '0')}`;
    const pair = { name, peerName: 'eth0', peerNamespaceFd: place.fd, peerMac: mac };
    const link = kernel.createVethPair(host, pair);
    const eth0 = kernel.linkByName(inner, 'eth0')?.index ?? 0;
    kernel.setLink(host, link, { up: true, ...(attached ? { master: bridge } : {}) });
    // As bridges of the daemon do where frames pass the rules of IP.
    if (attached) kernel.setLink(host, link, { hairpin: true });
    kernel.setLink(inner, eth0, { up: true });
    kernel.addAddress(inner, eth0, { address, prefix: 16 });
    kernel.addRoute(inner, {
      destination: '0.0.0.0',
      prefix: 0,
      type: 'unicast',
      gateway,
      index: eth0,
      metric: 0,
    });
    await this.#works(this.machine, name);
    await this.#works(place, 'eth0');
    this.listen(place, 80, address);
    await this.#echo(place, 80, address);
    return { ...place, address, link, bridge, mac };
  }

  /** The kernel takes a while to see that a new interface works, and nothing leaves by it until then. */
  async #works({ namespace }: Place, name: string): Promise<void> {
    await eventually(async () => {
      const { stdout } = await run('ip', ['-n', namespace.name, 'link', 'show', name]);
      if (!stdout.includes('state UP')) throw new Error(`${name} is not up`);
    });
  }

  /** A TCP server; it calls itself `name`. */
  listen(place: Place, port: number, name: string): Server {
    const server = createServer((socket) => {
      this.#keep(socket);
      const address = socket.remoteAddress?.replace('::ffff:', '') ?? '';
      socket.write(`${JSON.stringify({ instance: name, address, port: socket.remotePort })}\n`);
      socket.pipe(socket);
    });
    within(place, () => server.listen(port));
    this.#ends.unshift(() => server.close());
    return server;
  }

  async #echo(place: Place, port: number, name: string): Promise<void> {
    const socket = await udpSocket(place, port);
    socket.on('message', (_, { address, port: from }) =>
      socket.send(JSON.stringify({ instance: name, address, port: from }), from, address),
    );
    this.#ends.unshift(() => socket.close());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** The unresolved address's holder joins its bridge. */
  attach({ link, bridge, address, mac }: Instance): void {
    using host = within(this.machine, () => kernel.NetlinkSocket.open());
    kernel.setLink(host, link, { master: bridge });
    kernel.setNeighbour(host, { index: bridge, address, mac, state: 'reachable' });
  }

  /** An open connection, and what was said to it first. */
  async greet(place: Place, address: string, port: number): Promise<{ socket: Socket; seen: Greeting }> {
    const socket = await place.namespace.connect(address, port);
    this.#keep(socket);
    const lines = createInterface({ input: socket });
    const [line] = (await once(lines, 'line')) as [string];
    lines.close();
    socket.resume();
    return { socket, seen: JSON.parse(line) as Greeting };
  }

  /** What is said to a new connection, which is closed then. */
  async greetOnce(place: Place, address: string, port = 8080): Promise<Greeting> {
    const { socket, seen } = await this.greet(place, address, port);
    socket.destroy();
    return seen;
  }

  /** It has a mark of its own, since the kernel remembers the connections of those before. */
  publisher(table = 'appshot_test'): Publisher {
    const mark = ++this.#count;
    return within(this.machine, () => new Publisher({ table, bridges: 'br', mark }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const end of this.#ends) await end();
  }
}
