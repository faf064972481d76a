/**
 * Sockets of a network namespace over sock_diag(7): `struct inet_diag_req_v2` / `inet_diag_msg` (linux/inet_diag.h) and
 * `struct unix_diag_req` / `unix_diag_msg` (linux/unix_diag.h). Needs a `NetlinkSocket` of NETLINK_SOCK_DIAG.
 */
import { decodeIpv4, decodeIpv6 } from './ip-text.ts';
import { Attributes } from './messages.ts';
import { NLM_F_DUMP } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const FAMILIES = { 4: [AF_INET], 6: [AF_INET6], both: [AF_INET, AF_INET6] } as const;
const EVERY_STATE = 0xffffffff;
const INET_REQUEST_SIZE = 56;
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

const inetRequest = (family: number, protocol: number): Buffer => {
  const request = Buffer.alloc(INET_REQUEST_SIZE);
  request.writeUInt8(family, 0);
  request.writeUInt8(protocol, 1);
  request.writeUInt32LE(EVERY_STATE, 4);
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
