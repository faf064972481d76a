/**
 * Sockets of a network namespace over sock_diag(7): `struct inet_diag_req_v2` / `inet_diag_msg` (linux/inet_diag.h) and
 * `struct unix_diag_req` / `unix_diag_msg` (linux/unix_diag.h). Needs a `NetlinkSocket` of NETLINK_SOCK_DIAG.
 */
import { decodeIpv4, decodeIpv6, encodeIpv4 } from './ip-text.ts';
import { Attributes, attribute } from './messages.ts';
import { NLM_F_DUMP } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { isErrno } from './sys.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const FAMILIES = { 4: [AF_INET], 6: [AF_INET6], both: [AF_INET, AF_INET6] } as const;
const EVERY_STATE = 0xffffffff;
const INET_REQUEST_SIZE = 56;
/** Of the names of a socket and its kernel's cookie, in a request and in an answer. */
const [ID_SIZE, ID_ASKED, ID_TOLD] = [48, 8, 4];
const INET_DIAG_REQ_BYTECODE = 1;
/** An operation of the kernel's filter, and the condition in it: `struct inet_diag_bc_op` and `inet_diag_hostcond`, an IPv4 address behind. */
const INET_DIAG_BC_D_COND = 8;
const [OPERATION_SIZE, CONDITION_SIZE] = [4, 12];
const UNIX_REQUEST_SIZE = 24;
const UNIX_BODY_SIZE = 16;
const UDIAG_SHOW_NAME = 0x01;
const UDIAG_SHOW_PEER = 0x04;
const UDIAG_SHOW_RQLEN = 0x10;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;

/** By number, from 1 (include/net/tcp_states.h). */
const STATES = [
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
  'BOUND_INACTIVE',
] as const;

/** A UDP socket is `ESTABLISHED` when connected, else `CLOSE`. */
export type SocketState = (typeof STATES)[number];

export interface InetSocket {
  readonly state: SocketState;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bytes not yet read; of a listener, connections not yet accepted. */
  readonly receiveQueue: number;
  /** Bytes not yet acknowledged; of a listener, the length of its queue. */
  readonly sendQueue: number;
  /** 0 when no process holds it. */
  readonly inode: number;
  readonly uid: number;
}

const stateName = (number: number): SocketState => STATES[number - 1] ?? 'CLOSE';

const decodeInetSocket = (payload: Buffer): InetSocket => {
  const decode = payload.readUInt8(0) === AF_INET6 ? decodeIpv6 : decodeIpv4;
  return {
    state: stateName(payload.readUInt8(1)),
    localPort: payload.readUInt16BE(4),
    remotePort: payload.readUInt16BE(6),
    localAddress: decode(payload.subarray(8, 24)),
    remoteAddress: decode(payload.subarray(24, 40)),
    receiveQueue: payload.readUInt32LE(56),
    sendQueue: payload.readUInt32LE(60),
    uid: payload.readUInt32LE(64),
    inode: payload.readUInt32LE(68),
  };
};

const inetRequest = (family: number, protocol: number, states = EVERY_STATE): Buffer => {
  const request = Buffer.alloc(INET_REQUEST_SIZE);
  request.writeUInt8(family, 0);
  request.writeUInt8(protocol, 1);
  request.writeUInt32LE(states, 4);
  return request;
};

/** All TCP or UDP sockets, in every state. IPv4-mapped IPv6 addresses are given as IPv4. */
export const listSockets = (
  nl: NetlinkSocket,
  { protocol, family }: { protocol: keyof typeof PROTOCOLS; family: keyof typeof FAMILIES },
): InetSocket[] =>
  FAMILIES[family].flatMap((number) =>
    nl
      .request({
        name: `SOCK_DIAG_BY_FAMILY ${protocol}`,
        type: SOCK_DIAG_BY_FAMILY,
        flags: NLM_F_DUMP,
        parts: [inetRequest(number, PROTOCOLS[protocol])],
      })
      .map(decodeInetSocket),
  );

/** Those to which the other end has not said that it sends no more. */
const WAITING = ['ESTABLISHED', 'SYN_SENT', 'FIN_WAIT1', 'FIN_WAIT2'] as const;

/** Lets pass the sockets whose other end has this IPv4 address, also as an IPv6 one. */
const toRemote = (address: string): Buffer => {
  const code = Buffer.alloc(OPERATION_SIZE + CONDITION_SIZE);
  code.writeUInt8(INET_DIAG_BC_D_COND, 0);
  code.writeUInt8(code.length, 1);
  // Beyond the end: not it.
  code.writeUInt16LE(code.length + OPERATION_SIZE, 2);
  code.writeUInt8(AF_INET, 4);
  code.writeUInt8(32, 5);
  code.writeInt32LE(-1, 8);
  code.set(encodeIpv4(address), 12);
  return attribute(INET_DIAG_REQ_BYTECODE, code);
};

/**
 * Breaks off every TCP connection with an IPv4 address that waits for anything from there: whoever has it gets ECONNABORTED. What has
 * arrived can be read before. Throws EOPNOTSUPP where the kernel is built without it (CONFIG_INET_DIAG_DESTROY).
 */
export const abortConnections = (nl: NetlinkSocket, address: string): void => {
  const states = WAITING.reduce((mask, state) => mask | (1 << (STATES.indexOf(state) + 1)), 0);
  for (const family of FAMILIES.both) {
    const asked = inetRequest(family, PROTOCOLS.tcp, states);
    const name = `of ${address}`;
    const found = nl.request({
      name: `SOCK_DIAG_BY_FAMILY ${name}`,
      type: SOCK_DIAG_BY_FAMILY,
      flags: NLM_F_DUMP,
      parts: [asked, toRemote(address)],
    });
    for (const socket of found) {
      const named = inetRequest(family, PROTOCOLS.tcp);
      named.set(socket.subarray(ID_TOLD, ID_TOLD + ID_SIZE), ID_ASKED);
      ignoringGone(() => nl.request({ name: `SOCK_DESTROY ${name}`, type: SOCK_DESTROY, parts: [named] }));
    }
  }
};

const ignoringGone = (action: () => unknown): void => {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};

export interface UnixSocket {
  readonly type: 'stream' | 'datagram' | 'seqpacket';
  readonly state: SocketState;
  readonly inode: number;
  /** Its path as bound, or `@name` for an abstract one; absent when it has none. */
  readonly path?: string;
  /** Inode of the other end; absent when there is none. */
  readonly peer?: number;
  /** Bytes not yet read; of a listener, connections not yet accepted. */
  readonly receiveQueue: number;
  /** Memory, in bytes, of what the other end has not read; of a listener, the length of its queue. */
  readonly sendQueue: number;
}

const UNIX_TYPES = { 1: 'stream', 2: 'datagram', 5: 'seqpacket' } as const;

const decodeUnixSocket = (payload: Buffer): UnixSocket => {
  const attributes = new Attributes(payload, UNIX_BODY_SIZE);
  const path = attributes.text(UNIX_DIAG_NAME)?.replace(/^\0/, '@');
  const peer = attributes.u32(UNIX_DIAG_PEER);
  return {
    type: UNIX_TYPES[payload.readUInt8(1) as keyof typeof UNIX_TYPES],
    state: stateName(payload.readUInt8(2)),
    inode: payload.readUInt32LE(4),
    receiveQueue: attributes.u32(UNIX_DIAG_RQLEN) ?? 0,
    sendQueue: attributes.bytes(UNIX_DIAG_RQLEN)?.readUInt32LE(4) ?? 0,
    ...(path === undefined ? {} : { path }),
    ...(peer === undefined ? {} : { peer }),
  };
};

/** All Unix sockets of the network namespace. */
export const listUnixSockets = (nl: NetlinkSocket): UnixSocket[] => {
  const request = Buffer.alloc(UNIX_REQUEST_SIZE);
  request.writeUInt8(AF_UNIX, 0);
  request.writeUInt32LE(EVERY_STATE, 4);
  request.writeUInt32LE(UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN, 12);
  return nl
    .request({
      name: 'SOCK_DIAG_BY_FAMILY unix',
      type: SOCK_DIAG_BY_FAMILY,
      flags: NLM_F_DUMP,
      parts: [request],
    })
    .map(decodeUnixSocket);
};
