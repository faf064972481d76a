/**
 * A machine with networks, without a daemon: one namespace has the bridges, and one each stands for an application's environment and
 * for another machine. None has a way out.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { run } from '../../src/exec/index.ts';
import { createLogger } from '../../src/common/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { macOf } from '../../src/network/bridge.ts';
import { Network, preparePort } from '../../src/network/network.ts';
import type { Port } from '../../src/network/network.ts';
import { makeNetworkNamespace } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export const PREFIX = 'asv';

export interface Place {
  readonly namespace: NetworkNamespace;
  readonly netlink: kernel.NetlinkSocket;
  /** Runs with the calling thread inside. */
  visit<Result>(action: () => Result): Result;
}

/** A UDP socket inside, bound to an address of the place: made during the visit in which its look-up is answered. */
export const datagrams = async (place: Place, address = '0.0.0.0', port = 0): Promise<Socket> => {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, answer) => place.visit(() => answer(null, host, 4)),
  });
  const listening = once(socket, 'listening');
  socket.bind(port, address);
  await listening;
  return socket;
};

/** What stands for an application: its address is on `eth0`. */
export interface Resident extends Place {
  readonly address: string;
  readonly mac: string;
  /** Name of the outer end of its veth. */
  readonly interface: string;
  readonly port: Port;
}

export interface Machine extends Place, AsyncDisposable {
  /** Makes a network `asb<instance>`. */
  network(instance: string, cidr: string): Network;
  /** Makes an application in a network, not yet on its bridge. */
  application(network: Network, address: string): Promise<Resident>;
  /** Makes another machine, with this address in 192.0.2.0/24; this machine has 192.0.2.1. It has no route back. */
  outsider(address: string): Promise<Place>;
  setForwarding(on: boolean): void;
  /** Whether ICMP messages are limited in number, as they are unless somebody says otherwise. */
  setIcmpLimit(on: boolean): void;
  setBridgeFilter(on: boolean): void;
}

interface Opened extends Place {
  readonly fd: number;
}

const openPlace = async (name: string): Promise<Opened> => {
  const namespace = await makeNetworkNamespace(name);
  const fd = kernel.openFd(namespace.path);
  const visit = <Result>(action: () => Result): Result => kernel.withNetworkNamespace(fd, action);
  return { namespace, fd, visit, netlink: visit(() => kernel.NetlinkSocket.open()) };
};

const closePlace = async ({ namespace, netlink, fd }: Opened): Promise<void> => {
  netlink.close();
  kernel.close(fd);
  namespace.close();
  await run('ip', ['netns', 'del', namespace.name]);
};

/** The inner end of a veth that is a place's only way, with an address and a default route. */
const settle = (place: Opened, address: string, prefix: number, gateway?: string): number => {
  const index = kernel.linkByName(place.netlink, 'eth0')?.index ?? 0;
  kernel.setLink(place.netlink, index, { up: true });
  kernel.addAddress(place.netlink, index, { address, prefix });
  const route = { destination: '0.0.0.0', prefix: 0, type: 'unicast', index, metric: 0 } as const;
  if (gateway !== undefined) kernel.addRoute(place.netlink, { ...route, gateway });
  return index;
};

export const makeMachine = async (label: string): Promise<Machine> => {
  const base = `appshot-test-${process.pid}-${label}`;
  const places: Opened[] = [];
  const open = async (): Promise<Opened> => {
    const place = await openPlace(`${base}${places.length}`);
    places.push(place);
    return place;
  };
  const machine = await open();
  const write = (path: string, value: number): void =>
    machine.visit(() => writeFileSync(`/proc/sys/net/${path}`, String(value)));
  const log = createLogger({ level: 'silent' });
  const networks: Network[] = [];
  const connectTo = (place: Opened, name: string, mac: string): number => {
    const veth = { name, peerName: 'eth0', peerNamespaceFd: place.fd, peerMac: mac };
    const index = kernel.createVethPair(machine.netlink, veth);
    kernel.setLink(machine.netlink, index, { up: true });
    return index;
  };
  return {
    ...machine,
    network: (instance, network) => {
      const options = { netlink: machine.netlink, network, instance, log, known: [] };
      const made = machine.visit(() => new Network(options));
      networks.push(made);
      return made;
    },
    application: async ({ bridge }, address) => {
      const place = await open();
      const name = `${PREFIX}${places.length}`;
      const mac = macOf(address);
      const link = connectTo(place, name, mac);
      const innerLink = settle(place, address, bridge.cidr.prefix, bridge.gateway);
      const diagnosis = place.visit(() => kernel.NetlinkSocket.open(kernel.NETLINK_SOCK_DIAG));
      const port: Port = { link, innerLink, inner: place.netlink, diagnosis };
      preparePort(port);
      return { ...place, address, mac, interface: name, port };
    },
    outsider: async (address) => {
      const place = await open();
      const near = connectTo(place, `out${places.length}`, '02:00:00:00:00:99');
      kernel.addAddress(machine.netlink, near, { address: '192.0.2.1', prefix: 24 });
      settle(place, address, 24);
      return place;
    },
    setIcmpLimit: (on) => write('ipv4/icmp_ratelimit', on ? 1000 : 0),
    setForwarding: (on) => write('ipv4/ip_forward', Number(on)),
    setBridgeFilter: (on) => write('bridge/bridge-nf-call-iptables', Number(on)),
    [Symbol.asyncDispose]: async () => {
      for (const network of networks) await network.shut({ remove: false });
      for (const place of places) await closePlace(place);
    },
  };
};
