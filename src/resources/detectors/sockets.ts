/** Sockets and pipes (criu/sockets.c, sk-inet.c, sk-unix.c, sk-netlink.c, pipes.c). */
import type { UnixSocket } from '../../kernel/index.ts';
import { socketInode } from '../facts.ts';
import type { Detector, Finding, Judged } from './finding.ts';

/** As the kernel calls the protocols that the engine saves; these sockets are new, or of a kind that has no table here. */
const SAVED = new Set([
  'TCP',
  'TCPv6',
  'UDP',
  'UDPv6',
  'UDP-Lite',
  'UDPLITEv6',
  'RAW',
  'RAWv6',
  'NETLINK',
  'PACKET',
  'PING',
  'PINGv6',
]);
const UNIX = new Set(['UNIX', 'UNIX-STREAM']);
/** O_DIRECT: of a pipe, that each write is a packet. */
const PACKETS = 0o40000;

const RETRY = 'try again in a moment';

const ADVICE: Readonly<Record<string, string>> = {
  MPTCP: 'turn Multipath TCP off in the program (GODEBUG=multipathtcp=0 for Go)',
  MPTCPv6: 'turn Multipath TCP off in the program (GODEBUG=multipathtcp=0 for Go)',
  AF_VSOCK: 'use TCP or a Unix socket instead',
};

const unlisted = (protocol: string): Finding | undefined => {
  if (SAVED.has(protocol)) return undefined;
  if (UNIX.has(protocol))
    return {
      kind: 'unix-socket',
      what: 'a Unix socket',
      why: 'it was made in another network namespace, outside the application',
      advice: 'let the program make its own socket, at a path on a volume',
    };
  return {
    kind: 'socket',
    what: `a socket of the protocol ${protocol}`,
    why: 'CRIU saves TCP, UDP, raw, packet, netlink and Unix sockets only',
    advice: ADVICE[protocol] ?? 'turn the feature that uses it off in the program',
  };
};

const nameOf = (socket: UnixSocket): string => (socket.path === undefined ? '' : ` ${socket.path}`);

/** The engine must hold both ends, or know how the other end is called. */
const unixPeer = (socket: UnixSocket, { sockets, held }: Judged): Finding | undefined => {
  // The other end of a connection that nobody has accepted yet has no inode. Without data it can be saved.
  if (socket.peer === undefined || socket.peer === 0)
    return socket.state === 'ESTABLISHED' && socket.type !== 'datagram' && socket.sendQueue > 0
      ? {
          kind: 'in-flight',
          what: 'a connection to a Unix socket, with data under way',
          why: 'the program has not accepted it yet',
          advice: RETRY,
        }
      : undefined;
  const peer = sockets.unix.get(socket.peer);
  const name = peer === undefined ? '' : nameOf(peer);
  if (!held.has(socket.peer))
    return {
      kind: 'unix-socket',
      what: `the Unix socket${nameOf(socket)}${name === '' ? '' : `, connected to${name}`}`,
      why: 'its other end is held outside the application',
      advice: 'close the connection, or run the other program inside the application too',
    };
  if (peer === undefined || peer.peer === socket.inode || peer.path !== undefined) return undefined;
  return {
    kind: 'unix-socket',
    what: `the Unix socket${nameOf(socket)}`,
    why: 'it sends to a socket that has no name and is connected elsewhere',
    advice: 'let the program close it',
  };
};

const inFlight = (inode: number, { sockets }: Judged): Finding | undefined => {
  const listener = sockets.tcp.get(inode);
  if (listener?.state !== 'LISTEN' || listener.receiveQueue === 0) return undefined;
  return {
    kind: 'in-flight',
    what: `${listener.receiveQueue} connection(s) to port ${listener.localPort}`,
    why: 'they have been made, but the program has not accepted them yet',
    advice: RETRY,
  };
};

const unread = (inode: number, { sockets }: Judged): Finding | undefined =>
  (sockets.netlink.get(inode) ?? 0) === 0
    ? undefined
    : {
        kind: 'netlink',
        what: 'a netlink socket with unread messages',
        why: 'CRIU cannot save what the kernel has told the program and it has not read',
        advice: 'try again in a moment; if it stays, the program has stopped reading',
      };

const judge = (inode: number, application: Judged): Finding | undefined => {
  const { unix, unlisted: others } = application.sockets;
  const socket = unix.get(inode);
  const protocol = others.get(inode);
  if (socket !== undefined) return unixPeer(socket, application);
  if (protocol !== undefined) return unlisted(protocol);
  return inFlight(inode, application) ?? unread(inode, application);
};

export const sockets: Detector = ({ descriptors }, application) =>
  descriptors
    .map(({ target }) => socketInode(target))
    .map((inode) => (inode === undefined ? undefined : judge(inode, application)))
    .filter((finding) => finding !== undefined);

export const packetPipes: Detector = ({ descriptors }) =>
  descriptors
    .filter(({ target, flags }) => target.startsWith('pipe:') && (flags & PACKETS) !== 0)
    .map(({ target }) => ({
      kind: 'pipe',
      what: `a pipe of packets (${target})`,
      why: 'CRIU cannot save pipes that keep writes apart (O_DIRECT)',
      advice: 'use a socket that keeps messages apart instead',
    }));
