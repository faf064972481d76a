/**
 * The kernel's table of connections (conntrack) over ctnetlink: `struct nfgenmsg`, then CTA_* attributes
 * (linux/netfilter/nfnetlink_conntrack.h), whose numbers are in network order. IPv4, TCP and UDP alone; other entries are passed
 * over. Needs a `NetlinkSocket` of NETLINK_NETFILTER.
 */
import { encodeIpv4 } from './ip-text.ts';
import { Attributes, attribute, nestedAttribute } from './messages.ts';
import { NLM_F_DUMP } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { isErrno } from './sys.ts';

export const NETLINK_NETFILTER = 12;

/** NFNL_SUBSYS_CTNETLINK, in the upper byte of each type. */
const CTNETLINK = 0x100;
const IPCTNL_MSG_CT_GET = CTNETLINK | 1;
const IPCTNL_MSG_CT_DELETE = CTNETLINK | 2;
const BODY_SIZE = 4;
const AF_INET = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_STATUS = 3;
const CTA_PROTOINFO = 4;
const CTA_TIMEOUT = 7;
const CTA_MARK = 8;
const CTA_TIMESTAMP = 20;
const CTA_MARK_MASK = 21;
const CTA_FILTER = 25;
const CTA_STATUS_MASK = 26;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_PROTOINFO_TCP = 1;
const CTA_PROTOINFO_TCP_STATE = 1;
const CTA_TIMESTAMP_START = 1;
const CTA_FILTER_ORIG_FLAGS = 1;
/** That a filter looks at the tuple's protocol (net/netfilter/nf_conntrack_netlink.c). */
const FILTER_PROTO_NUM = 1 << 3;
const IPS_SEEN_REPLY = 1 << 1;
const IPS_NAT_MASK = 0x30;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const NANOSECONDS_A_MILLISECOND = 1_000_000n;

/** By number (enum tcp_conntrack). */
const TCP_STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
] as const;

export type TcpState = (typeof TCP_STATES)[number];
type Protocol = keyof typeof PROTOCOLS;

/** An address and a port of it. */
export interface SocketName {
  readonly address: string;
  readonly port: number;
}

/** Who sends to whom. */
export interface Flow {
  readonly source: SocketName;
  readonly destination: SocketName;
}

export interface TrackedConnection {
  readonly protocol: Protocol;
  /** As the one who began it sends. */
  readonly original: Flow;
  /** As the answers are sent: the original turned around, unless addresses are translated. */
  readonly reply: Flow;
  /** Of TCP alone. */
  readonly state?: TcpState;
  /** There was a packet in the other direction. */
  readonly answered: boolean;
  /** Source or destination are translated. */
  readonly translated: boolean;
  readonly mark: number;
  /** Seconds until the kernel forgets it when no packet comes. */
  readonly timeout?: number;
  /** When it began, in milliseconds since 1970; the kernel tells where `net.netfilter.nf_conntrack_timestamp` is 1. */
  readonly since?: number;
}

const bigEndian = (bytes: Buffer | undefined, size: number): number | undefined =>
  bytes?.length === size ? bytes.readUIntBE(0, size) : undefined;

const socketName = (address: string | undefined, port: number | undefined): SocketName | undefined =>
  address === undefined || port === undefined ? undefined : { address, port };

const decodeTuple = (tuple: Attributes): (Flow & { protocol: Protocol }) | undefined => {
  const [ip, proto] = [tuple.nested(CTA_TUPLE_IP), tuple.nested(CTA_TUPLE_PROTO)];
  const port = (type: number): number | undefined => bigEndian(proto.bytes(type), 2);
  const source = socketName(ip.ipv4(CTA_IP_V4_SRC), port(CTA_PROTO_SRC_PORT));
  const destination = socketName(ip.ipv4(CTA_IP_V4_DST), port(CTA_PROTO_DST_PORT));
  const number = bigEndian(proto.bytes(CTA_PROTO_NUM), 1);
  const protocol = number === PROTOCOLS.tcp ? 'tcp' : number === PROTOCOLS.udp ? 'udp' : undefined;
  return source && destination && protocol && { protocol, source, destination };
};

const tcpState = (attributes: Attributes): TcpState | undefined => {
  const tcp = attributes.nested(CTA_PROTOINFO).nested(CTA_PROTOINFO_TCP);
  const number = bigEndian(tcp.bytes(CTA_PROTOINFO_TCP_STATE), 1);
  return number === undefined ? undefined : TCP_STATES[number];
};

const startOf = (attributes: Attributes): number | undefined => {
  const start = attributes.nested(CTA_TIMESTAMP).bytes(CTA_TIMESTAMP_START);
  return start?.length === 8 ? Number(start.readBigUInt64BE() / NANOSECONDS_A_MILLISECOND) : undefined;
};

/** One entry; undefined for another protocol, another family, or bytes that are none. */
export const decodeTracked = (payload: Buffer): TrackedConnection | undefined => {
  const attributes = new Attributes(payload, BODY_SIZE);
  const original = decodeTuple(attributes.nested(CTA_TUPLE_ORIG));
  const reply = decodeTuple(attributes.nested(CTA_TUPLE_REPLY));
  if (!original || !reply) return undefined;
  const status = bigEndian(attributes.bytes(CTA_STATUS), 4) ?? 0;
  const [state, since] = [tcpState(attributes), startOf(attributes)];
  const timeout = bigEndian(attributes.bytes(CTA_TIMEOUT), 4);
  return {
    protocol: original.protocol,
    original: { source: original.source, destination: original.destination },
    reply: { source: reply.source, destination: reply.destination },
    ...(state === undefined ? {} : { state }),
    answered: (status & IPS_SEEN_REPLY) !== 0,
    translated: (status & IPS_NAT_MASK) !== 0,
    mark: bigEndian(attributes.bytes(CTA_MARK), 4) ?? 0,
    ...(timeout === undefined ? {} : { timeout }),
    ...(since === undefined ? {} : { since }),
  };
};

const number32 = (type: number, value: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return attribute(type, payload);
};

const number16 = (type: number, value: number): Buffer => {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(value);
  return attribute(type, payload);
};

const BODY = Buffer.from([AF_INET, 0, 0, 0]);

/** What entries are wanted; all conditions hold of them. */
export interface TrackedFilter {
  readonly mark?: number;
  readonly answered?: boolean;
  readonly protocol?: Protocol;
}

const protocolFilter = (protocol: Protocol): Buffer[] => {
  const flags = Buffer.alloc(4);
  // Unlike all other numbers here, the flags are in the machine's own order.
  flags.writeUInt32LE(FILTER_PROTO_NUM);
  const proto = nestedAttribute(CTA_TUPLE_PROTO, [attribute(CTA_PROTO_NUM, Buffer.of(PROTOCOLS[protocol]))]);
  return [
    nestedAttribute(CTA_TUPLE_ORIG, [proto]),
    nestedAttribute(CTA_FILTER, [attribute(CTA_FILTER_ORIG_FLAGS, flags)]),
  ];
};

const matches = (found: TrackedConnection, { mark, answered, protocol }: TrackedFilter): boolean =>
  (mark === undefined || found.mark === mark) &&
  (answered === undefined || found.answered === answered) &&
  (protocol === undefined || found.protocol === protocol);

/**
 * The TCP and UDP connections of the network namespace over IPv4. The kernel filters, as far as it is new enough, so that few entries
 * of a large table are copied. Entries that come and go meanwhile may be missing.
 */
export const listTracked = (nl: NetlinkSocket, filter: TrackedFilter = {}): TrackedConnection[] => {
  const { mark, answered, protocol } = filter;
  const parts = [
    BODY,
    ...(mark === undefined ? [] : [number32(CTA_MARK, mark), number32(CTA_MARK_MASK, 0xffffffff)]),
    ...(answered === undefined
      ? []
      : [number32(CTA_STATUS, answered ? IPS_SEEN_REPLY : 0), number32(CTA_STATUS_MASK, IPS_SEEN_REPLY)]),
    ...(protocol === undefined ? [] : protocolFilter(protocol)),
  ];
  return nl
    .request({ name: 'IPCTNL_MSG_CT_GET', type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, parts })
    .flatMap((payload) => decodeTracked(payload) ?? [])
    .filter((found) => matches(found, filter));
};

const encodeTuple = (protocol: Protocol, { source, destination }: Flow): Buffer =>
  nestedAttribute(CTA_TUPLE_ORIG, [
    nestedAttribute(CTA_TUPLE_IP, [
      attribute(CTA_IP_V4_SRC, encodeIpv4(source.address)),
      attribute(CTA_IP_V4_DST, encodeIpv4(destination.address)),
    ]),
    nestedAttribute(CTA_TUPLE_PROTO, [
      attribute(CTA_PROTO_NUM, Buffer.of(PROTOCOLS[protocol])),
      number16(CTA_PROTO_SRC_PORT, source.port),
      number16(CTA_PROTO_DST_PORT, destination.port),
    ]),
  ]);

/** Lets the kernel forget a connection: its next packet counts as the first. One that is gone already is no error. */
export const forgetTracked = (
  nl: NetlinkSocket,
  { protocol, original }: Pick<TrackedConnection, 'protocol' | 'original'>,
): void => {
  try {
    const parts = [BODY, encodeTuple(protocol, original)];
    nl.request({ name: 'IPCTNL_MSG_CT_DELETE', type: IPCTNL_MSG_CT_DELETE, parts });
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};
