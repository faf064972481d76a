/** A socket as users know it: addresses and state, or the path and who is at the other end. Pure. */
import { isIPv6 } from 'node:net';
import type { Holding } from '../api/index.ts';
import type { InetSocket, UnixSocket } from '../kernel/index.ts';
import type { SocketFacts } from './facts.ts';

type Description = Omit<Holding, 'pid'>;

/** Who holds a socket, by its inode: a process's virtual PID and name. */
export type Holders = ReadonlyMap<number, { pid: number; name: string }>;

const at = (address: string, port: number): string => `${isIPv6(address) ? `[${address}]` : address}:${port}`;

const words = (state: string): string => state.toLowerCase().replaceAll('_', ' ');

const inet = (kind: string, socket: InetSocket): Description => {
  const local = at(socket.localAddress, socket.localPort);
  if (socket.state === 'LISTEN') return { kind, description: `${local}, listening` };
  if (socket.remotePort === 0) return { kind, description: local };
  return {
    kind,
    description: `${local} - ${at(socket.remoteAddress, socket.remotePort)}, ${words(socket.state)}`,
  };
};

const unixState = (socket: UnixSocket, sockets: SocketFacts, holders: Holders): string => {
  if (socket.state === 'LISTEN') return 'listening';
  if (socket.peer === undefined || socket.peer === 0) return 'not connected';
  const holder = holders.get(socket.peer);
  const path = sockets.unix.get(socket.peer)?.path;
  const whom = holder === undefined ? 'a process outside' : `${holder.name} (${holder.pid})`;
  return `connected to ${path === undefined ? '' : `${path} of `}${whom}`;
};

export const describeSocket = (inode: number, sockets: SocketFacts, holders: Holders): Description => {
  const { tcp, udp, unix, netlink, unlisted } = sockets;
  const [overTcp, overUdp, local] = [tcp.get(inode), udp.get(inode), unix.get(inode)];
  if (overTcp !== undefined) return inet('tcp-socket', overTcp);
  if (overUdp !== undefined) return inet('udp-socket', overUdp);
  if (local !== undefined) {
    const { path = 'without a path', type } = local;
    return { kind: 'unix-socket', description: `${path}, ${type}, ${unixState(local, sockets, holders)}` };
  }
  if (netlink.has(inode))
    return { kind: 'netlink-socket', description: `${netlink.get(inode)} bytes unread` };
  return { kind: 'socket', description: unlisted.get(inode) ?? 'closed meanwhile' };
};
