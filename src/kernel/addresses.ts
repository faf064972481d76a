/** IPv4 addresses of interfaces over rtnetlink: `struct ifaddrmsg` and IFA_* attributes (linux/if_addr.h). */
import { encodeIpv4 } from './ip-text.ts';
import { Attributes, attribute, optional } from './messages.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const AF_INET = 2;
const BODY_SIZE = 8;

export interface InterfaceAddress {
  readonly address: string;
  /** Length of the network part, 0 to 32 bits. */
  readonly prefix: number;
  readonly broadcast?: string;
}

const body = (index: number, prefix: number): Buffer => {
  const buffer = Buffer.alloc(BODY_SIZE);
  buffer.writeUInt8(AF_INET, 0);
  buffer.writeUInt8(prefix, 1);
  buffer.writeUInt32LE(index, 4);
  return buffer;
};

/** Gives an interface an address; with it comes the route to the address's network, once it is up. Throws EEXIST. */
export const addAddress = (
  nl: NetlinkSocket,
  index: number,
  { address, prefix, broadcast }: InterfaceAddress,
): void => {
  const bytes = encodeIpv4(address);
  nl.request({
    name: `RTM_NEWADDR ${address}/${prefix}`,
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      body(index, prefix),
      attribute(IFA_LOCAL, bytes),
      attribute(IFA_ADDRESS, bytes),
      ...optional(broadcast, (text) => attribute(IFA_BROADCAST, encodeIpv4(text))),
    ],
  });
};

const decodeAddress = (payload: Buffer): InterfaceAddress & { readonly index: number } => {
  const attributes = new Attributes(payload, BODY_SIZE);
  const broadcast = attributes.ipv4(IFA_BROADCAST);
  return {
    index: payload.readUInt32LE(4),
    address: attributes.ipv4(IFA_LOCAL) ?? attributes.ipv4(IFA_ADDRESS) ?? '',
    prefix: payload.readUInt8(1),
    ...(broadcast === undefined ? {} : { broadcast }),
  };
};

/** The IPv4 addresses of one interface, or of all. */
export const listAddresses = (
  nl: NetlinkSocket,
  index?: number,
): (InterfaceAddress & { readonly index: number })[] =>
  nl
    .request({ name: 'RTM_GETADDR', type: RTM_GETADDR, flags: NLM_F_DUMP, parts: [body(0, 0)] })
    .map(decodeAddress)
    .filter((found) => index === undefined || found.index === index);
