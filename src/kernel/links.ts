/** Network interfaces over rtnetlink: `struct ifinfomsg` and IFLA_* attributes (linux/if_link.h). */
import { encodeMac } from './ip-text.ts';
import { Attributes, attribute, nestedAttribute, optional, textAttribute, u32Attribute } from './messages.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { isErrno } from './sys.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_CARRIER = 33;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const AF_INET = 2;
const IFLA_INET_CONF = 1;
const AF_INET6 = 10;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
/** Numbers of the settings in /proc/sys/net/ipv4/conf (linux/ip.h). */
const IPV4_DEVCONF_RP_FILTER = 8;
const IFF_UP = 1;
const BODY_SIZE = 16;

/** An interface as it was when read. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Hardware address; empty for interfaces that have none of six bytes. */
  readonly mac: string;
  /** Administratively up. */
  readonly up: boolean;
  /** It could pass packets: the other end is up too. */
  readonly carrier: boolean;
  /** Index of the bridge it is a port of; 0 without one. */
  readonly master: number;
  readonly mtu: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly txBytes: number;
}

const body = (index: number, flags = 0, change = 0): Buffer => {
  const buffer = Buffer.alloc(BODY_SIZE);
  buffer.writeInt32LE(index, 4);
  buffer.writeUInt32LE(flags, 8);
  buffer.writeUInt32LE(change, 12);
  return buffer;
};

const decodeLink = (payload: Buffer): Link => {
  const attributes = new Attributes(payload, BODY_SIZE);
  const statistics = attributes.bytes(IFLA_STATS64);
  const counter = (position: number): number => Number(statistics?.readBigUInt64LE(position * 8) ?? 0n);
  return {
    index: payload.readInt32LE(4),
    name: attributes.text(IFLA_IFNAME) ?? '',
    mac: attributes.mac(IFLA_ADDRESS) ?? '',
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    carrier: attributes.u8(IFLA_CARRIER) === 1,
    master: attributes.u32(IFLA_MASTER) ?? 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    rxPackets: counter(0),
    txPackets: counter(1),
    rxBytes: counter(2),
    txBytes: counter(3),
  };
};

/** All interfaces of the namespace. */
export const listLinks = (nl: NetlinkSocket): Link[] =>
  nl.request({ name: 'RTM_GETLINK', type: RTM_GETLINK, flags: NLM_F_DUMP, parts: [body(0)] }).map(decodeLink);

/** The interface called `name`, if there is one. */
export const linkByName = (nl: NetlinkSocket, name: string): Link | undefined => {
  try {
    const parts = [body(0), textAttribute(IFLA_IFNAME, name)];
    return nl.request({ name: 'RTM_GETLINK', type: RTM_GETLINK, parts }).map(decodeLink)[0];
  } catch (error) {
    if (isErrno(error, 'ENODEV')) return undefined;
    throw error;
  }
};

const macAttribute = (mac: string): Buffer => attribute(IFLA_ADDRESS, encodeMac(mac));
const mtuAttribute = (mtu: number): Buffer => u32Attribute(IFLA_MTU, mtu);

const createLink = (
  nl: NetlinkSocket,
  name: string,
  parts: readonly Uint8Array[],
  info: readonly Uint8Array[],
): number => {
  nl.request({
    name: `RTM_NEWLINK ${name}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [body(0), textAttribute(IFLA_IFNAME, name), ...parts, nestedAttribute(IFLA_LINKINFO, info)],
  });
  return linkByName(nl, name)?.index ?? 0;
};

/**
 * Creates a bridge, down, and gives its index. With `mac` it keeps that address; else its address changes with its
 * ports. Throws EEXIST.
 */
export const createBridge = (nl: NetlinkSocket, name: string, { mac }: { mac?: string } = {}): number =>
  createLink(nl, name, optional(mac, macAttribute), [textAttribute(IFLA_INFO_KIND, 'bridge')]);

export interface VethPair {
  readonly name: string;
  readonly peerName: string;
  /** The network namespace in which the peer is made; without it, the socket's own. */
  readonly peerNamespaceFd?: number;
  readonly mac?: string;
  readonly peerMac?: string;
  /** Of both ends. */
  readonly mtu?: number;
}

/** Creates two connected interfaces, both down, and gives the index of the near one. Throws EEXIST. */
export const createVethPair = (nl: NetlinkSocket, pair: VethPair): number => {
  const mtu = optional(pair.mtu, mtuAttribute);
  const peer = [
    body(0),
    textAttribute(IFLA_IFNAME, pair.peerName),
    ...optional(pair.peerMac, macAttribute),
    ...mtu,
    ...optional(pair.peerNamespaceFd, (fd) => u32Attribute(IFLA_NET_NS_FD, fd)),
  ];
  const data = nestedAttribute(IFLA_INFO_DATA, [nestedAttribute(VETH_INFO_PEER, peer)]);
  const info = [textAttribute(IFLA_INFO_KIND, 'veth'), data];
  return createLink(nl, pair.name, [...optional(pair.mac, macAttribute), ...mtu], info);
};

export interface LinkChange {
  readonly up?: boolean;
  /** Index of the bridge to join; 0 leaves the one it is in. */
  readonly master?: number;
  readonly mtu?: number;
  readonly mac?: string;
  readonly name?: string;
  /** Whether IPv4 takes packets from it only if it would send their answers there too (strict reverse path, RFC 3704). */
  readonly strictSource?: boolean;
  /** Whether the bridge that it is in sends frames back to it that came from it; not together with `master`. */
  readonly hairpin?: boolean;
}

const reversePathAttribute = (strict: boolean): Buffer => {
  const settings = nestedAttribute(IFLA_INET_CONF, [u32Attribute(IPV4_DEVCONF_RP_FILTER, Number(strict))]);
  return nestedAttribute(IFLA_AF_SPEC, [nestedAttribute(AF_INET, [settings])]);
};

const hairpinAttribute = (on: boolean): Buffer =>
  nestedAttribute(IFLA_LINKINFO, [
    textAttribute(IFLA_INFO_SLAVE_KIND, 'bridge'),
    nestedAttribute(IFLA_INFO_SLAVE_DATA, [attribute(IFLA_BRPORT_MODE, Buffer.of(Number(on)))]),
  ]);

/** Changes what is given and leaves the rest, in one request. */
export const setLink = (nl: NetlinkSocket, index: number, change: LinkChange): void =>
  void nl.request({
    name: `RTM_NEWLINK ${index}`,
    type: RTM_NEWLINK,
    parts: [
      body(index, change.up === true ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP),
      ...optional(change.master, (master) => u32Attribute(IFLA_MASTER, master)),
      ...optional(change.mtu, mtuAttribute),
      ...optional(change.mac, macAttribute),
      ...optional(change.name, (name) => textAttribute(IFLA_IFNAME, name)),
      ...optional(change.strictSource, reversePathAttribute),
      ...optional(change.hairpin, hairpinAttribute),
    ],
  });

/**
 * Lets an interface, before it is up, do without a link-local IPv6 address: its announcements and questions would be flooded to every
 * port of a bridge. Nothing happens where there is no IPv6.
 */
export const withoutLinkLocal = (nl: NetlinkSocket, index: number): void => {
  const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.of(IN6_ADDR_GEN_MODE_NONE));
  const family = nestedAttribute(IFLA_AF_SPEC, [nestedAttribute(AF_INET6, [mode])]);
  try {
    nl.request({ name: `RTM_NEWLINK ${index}`, type: RTM_NEWLINK, parts: [body(index), family] });
  } catch (error) {
    if (!isErrno(error, 'EAFNOSUPPORT', 'EINVAL', 'EOPNOTSUPP')) throw error;
  }
};

/** Deletes an interface; a veth takes its peer along. Throws ENODEV. */
export const deleteLink = (nl: NetlinkSocket, index: number): void =>
  void nl.request({ name: `RTM_DELLINK ${index}`, type: RTM_DELLINK, parts: [body(index)] });
