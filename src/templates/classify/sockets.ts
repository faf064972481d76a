/** Sockets that something is called by: UNIX sockets, ports, connections. */
import { isIPv6 } from 'node:net';
import type { DumpSummary, SavedObject } from '../../criu/index.ts';
import { OWN, groupBy, pidsOf, processName } from './found.ts';
import type { ClassifyInput, Found } from './found.ts';

type Socket = NonNullable<SavedObject['socket']>;
type WithSocket = SavedObject & { readonly socket: Socket };

const waitingIn = (objects: readonly SavedObject[]): number =>
  objects.reduce((total, { waiting }) => total + waiting, 0);

const unixSockets = (summary: DumpSummary, all: readonly WithSocket[]): Found[] => {
  const record = (name: string, some: readonly WithSocket[]): Omit<Found, 'traits' | 'action'> => ({
    type: 'unix-socket',
    name,
    data: { sockets: some.length, processes: pidsOf(some), waiting: waitingIn(some) },
    access: OWN,
  });
  const isBound = ({ socket }: WithSocket): boolean => socket.local !== '' && socket.state !== 'established';
  const bound = groupBy(all.filter(isBound), ({ socket }) => socket.local);
  const others = groupBy(
    all.filter((one) => !isBound(one)),
    ({ socket: { local, remote }, holders }) => {
      const path = local || remote;
      return path === '' ? `unnamed, of ${processName(summary, holders[0]?.pid)}` : `connections to ${path}`;
    },
  );
  return [
    ...[...bound].map(([path, some]) => ({
      ...record(path, some),
      traits: { shared: pidsOf(some).length > 1, modifiable: true, systemUnique: true },
      action: path.startsWith('@')
        ? "the same name in the clone's own namespace"
        : "the same path in the clone's own files",
    })),
    ...[...others].map(([name, some]) => ({
      ...record(name, some),
      traits: { shared: pidsOf(some).length > 1, modifiable: true },
      action: 'copied with what is under way',
    })),
  ];
};

/** `10.10.0.2:80` and `[::1]:80` without the port, and the port. */
const split = (text: string): { address: string; port: number } => {
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
};

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const isPort = ({ protocol, local, remote, state }: Socket): boolean =>
  local !== '' && remote === '' && (protocol === 'tcp' ? state === 'listening' : protocol.startsWith('udp'));

const ports = (all: readonly WithSocket[]): Found[] => {
  const byPort = groupBy(
    all.filter(({ socket }) => isPort(socket)),
    ({ socket: { protocol, local } }) => `${protocol} ${split(local).port}`,
  );
  return [...byPort].map(([name, some]) => {
    const addresses = [...new Set(some.map(({ socket }) => split(socket.local).address))].toSorted();
    const isInner = addresses.every(isLoopback);
    return {
      type: 'port',
      name,
      data: { addresses, processes: pidsOf(some) },
      traits: { systemUnique: true, exported: !isInner },
      action: isInner
        ? "the same port in the clone's own network"
        : "the same port at the clone's own address",
      access: OWN,
    };
  });
};

/** One that has been closed keeps its addresses. */
const isConnection = ({ protocol, local, remote, state }: Socket): boolean =>
  protocol === 'tcp' && local !== '' && remote !== '' && state !== 'closed';

const isInner = ({ local, remote }: Socket): boolean => {
  const [near, far] = [split(local).address, split(remote).address];
  return near === far || isLoopback(far);
};

const innerConnections = (all: readonly WithSocket[]): Found[] => {
  const inner = all.filter(({ socket }) => isConnection(socket) && isInner(socket));
  const pairs = groupBy(inner, ({ socket: { local, remote } }) => [local, remote].toSorted().join(' - '));
  return [...pairs].map(([pair, some]) => ({
    type: 'connection',
    name: `tcp ${pair}`,
    data: { processes: pidsOf(some) },
    traits: { shared: pidsOf(some).length > 1, modifiable: true, systemUnique: true },
    action: 'copied with what is under way: both ends are its own',
    access: OWN,
  }));
};

const far = (address: string, port: number): string =>
  isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;

/** Those that the images still have, and those that were there before they were cleaned. */
const outerConnections = ({ reachable }: ClassifyInput, all: readonly WithSocket[]): Found[] => {
  const outer = all
    .filter(({ socket }) => isConnection(socket) && !isInner(socket))
    .map(({ socket: { local, remote } }) => `tcp ${split(local).port} - ${remote}`);
  const known = reachable.connections.map(
    ({ localPort, remote, remotePort }) => `tcp ${localPort} - ${far(remote, remotePort)}`,
  );
  return [...new Set([...outer, ...known])].map((name) => ({
    type: 'connection',
    name,
    data: {},
    traits: { systemUnique: true },
    action: "comes back closed: its other end is the source's",
    access: OWN,
  }));
};

/** A socket of TCP or UDP that nobody knows by a port or by its other end. */
export const isNameless = (socket: Socket): boolean =>
  socket.protocol !== 'unix' && !isPort(socket) && !isConnection(socket);

export const sockets = (input: ClassifyInput): Found[] => {
  const all = input.summary.objects.filter((one): one is WithSocket => one.socket !== undefined);
  const unix = all.filter(({ socket }) => socket.protocol === 'unix');
  const inet = all.filter(({ socket }) => socket.protocol !== 'unix');
  return [
    ...unixSockets(input.summary, unix),
    ...ports(inet),
    ...innerConnections(inet),
    ...outerConnections(input, inet),
  ];
};
