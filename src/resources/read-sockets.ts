/**
 * The sockets of an application's network namespace: TCP, UDP and Unix over sock_diag, the others from the tables below
 * /proc/PID/net, and those that no table lists by asking each for its protocol.
 */
import { readFileSync } from 'node:fs';
import { listSockets, listUnixSockets, socketProtocol } from '../kernel/index.ts';
import type { InetSocket, NetlinkSocket } from '../kernel/index.ts';
import { socketInode } from './facts.ts';
import type { ProcessFacts, SocketFacts } from './facts.ts';
import { parseTable } from './proc-text.ts';
import { unlessGone } from './read-process.ts';

const byInode = <Entry extends { readonly inode: number }>(entries: readonly Entry[]): Map<number, Entry> =>
  new Map(entries.map((entry) => [entry.inode, entry]));

const inet = (diagnosis: NetlinkSocket, protocol: 'tcp' | 'udp'): Map<number, InetSocket> =>
  byInode(listSockets(diagnosis, { protocol, family: 'both' }));

/** Must follow the reading of the processes: what they opened since is of no interest, what they closed is skipped. */
export const readSockets = (
  diagnosis: NetlinkSocket,
  rootPid: number,
  processes: readonly ProcessFacts[],
): SocketFacts => {
  const netlink = parseTable(unlessGone(() => readFileSync(`/proc/${rootPid}/net/netlink`, 'utf8')) ?? '');
  const listed = {
    tcp: inet(diagnosis, 'tcp'),
    udp: inet(diagnosis, 'udp'),
    unix: byInode(listUnixSockets(diagnosis)),
    netlink: new Map(netlink.map((row) => [Number(row.get('Inode')), Number(row.get('Rmem'))])),
  };
  const tables = Object.values(listed);
  const unlisted = new Map<number, string>();
  for (const { systemPid, descriptors } of processes) {
    for (const { fd, target } of descriptors) {
      const inode = socketInode(target);
      if (inode === undefined || unlisted.has(inode) || tables.some((table) => table.has(inode))) continue;
      const protocol = socketProtocol(`/proc/${systemPid}/fd/${fd}`);
      if (protocol !== undefined) unlisted.set(inode, protocol);
    }
  }
  return { ...listed, unlisted };
};
