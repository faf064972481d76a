/**
 * What the network may still want of an application: the ports that it serves, its connections to others, and what is under way at
 * this moment. Asked at each sleep, so that only packets that mean something wake it again.
 *
 * Sockets on loopback addresses, and connections of the application with itself, cannot be reached from outside: they appear
 * only in `inFlight`, since a connection that nobody has accepted keeps the engine from saving its listener, wherever it
 * comes from.
 */
import { listSockets } from '../kernel/index.ts';
import type { InetSocket, NetlinkSocket, SocketState } from '../kernel/index.ts';

export interface NetworkUse {
  /** TCP listeners and every bound UDP port, connected ones too. `0.0.0.0` and `::` are any address. */
  readonly listening: readonly { protocol: 'tcp' | 'udp'; address: string; port: number }[];
  /** TCP connections with other hosts that a snapshot would hold. */
  readonly connections: readonly { local: string; localPort: number; remote: string; remotePort: number }[];
  /** TCP connections that are being opened from outside, or wait in the queue of a listener. */
  readonly inFlight: number;
  /**
   * Bytes that other hosts have not acknowledged yet, on every TCP connection: also on those that the application has closed,
   * which no snapshot holds. A FIN that was not acknowledged counts as one.
   */
  readonly unsent: number;
  /** TCP connections that others have closed and the application has not: that they did may not be acknowledged yet. */
  readonly halfClosed: number;
}

const OPENING: ReadonlySet<SocketState> = new Set(['SYN_RECV', 'NEW_SYN_RECV']);
const CONNECTED: ReadonlySet<SocketState> = new Set([
  'ESTABLISHED',
  'SYN_SENT',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'CLOSE_WAIT',
  'LAST_ACK',
  'CLOSING',
]);

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Those whose other end is not in the same list. */
const withOthers = (sockets: readonly InetSocket[]): InetSocket[] => {
  const ends = new Set(
    sockets.map((it) => `${it.localAddress} ${it.localPort} ${it.remoteAddress} ${it.remotePort}`),
  );
  return sockets.filter(
    (it) =>
      !isLoopback(it.localAddress) &&
      !ends.has(`${it.remoteAddress} ${it.remotePort} ${it.localAddress} ${it.localPort}`),
  );
};

const served = (protocol: 'tcp' | 'udp', sockets: readonly InetSocket[]): NetworkUse['listening'] =>
  sockets
    .filter(({ localAddress, localPort }) => localPort !== 0 && !isLoopback(localAddress))
    .map(({ localAddress, localPort }) => ({ protocol, address: localAddress, port: localPort }));

/** The same from lists of all TCP and UDP sockets. Pure. */
export const useOf = (tcp: readonly InetSocket[], udp: readonly InetSocket[]): NetworkUse => {
  const listeners = tcp.filter(({ state }) => state === 'LISTEN');
  const remote = withOthers(tcp.filter(({ state }) => CONNECTED.has(state)));
  return {
    listening: [...served('tcp', listeners), ...served('udp', udp)],
    // A socket that no process holds has been closed and ends on its own: it is not saved.
    connections: remote
      .filter(({ inode }) => inode !== 0)
      .map((it) => ({
        local: it.localAddress,
        localPort: it.localPort,
        remote: it.remoteAddress,
        remotePort: it.remotePort,
      })),
    inFlight:
      tcp.filter(({ state }) => OPENING.has(state)).length +
      sum(listeners.map(({ receiveQueue }) => receiveQueue)),
    unsent: sum(remote.map(({ sendQueue }) => sendQueue)),
    halfClosed: remote.filter(({ state }) => state === 'CLOSE_WAIT').length,
  };
};

/** Of the network namespace to which the socket (NETLINK_SOCK_DIAG) belongs. Under 1 ms; throws `KernelError`. */
export const networkUse = (diagnosis: NetlinkSocket): NetworkUse =>
  useOf(
    listSockets(diagnosis, { protocol: 'tcp', family: 'both' }),
    listSockets(diagnosis, { protocol: 'udp', family: 'both' }),
  );
