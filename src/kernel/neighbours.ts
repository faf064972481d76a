/**
 * The IPv4 neighbour (ARP) table over rtnetlink: `struct ndmsg` and NDA_* for its entries, `struct ndtmsg` and NDTPA_* for
 * an interface's parameters (linux/neighbour.h). The parameters are those of /proc/sys/net/ipv4/neigh/NAME, but belong
 * to the socket's namespace whatever /proc is mounted.
 */
import { encodeIpv4, encodeMac } from './ip-text.ts';
import {
  Attributes,
  attribute,
  nestedAttribute,
  optional,
  textAttribute,
  u32Attribute,
  u64Attribute,
} from './messages.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { isErrno } from './sys.ts';

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const RTM_SETNEIGHTBL = 67;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDTA_NAME = 1;
const NDTA_PARMS = 6;
const NDTPA_IFINDEX = 1;
const NDTPA_BASE_REACHABLE_TIME = 4;
const NDTPA_RETRANS_TIME = 5;
const NDTPA_DELAY_PROBE_TIME = 7;
const NDTPA_UCAST_PROBES = 10;
const NDTPA_MCAST_PROBES = 11;
const NDTPA_QUEUE_LENBYTES = 16;
const AF_INET = 2;
const BODY_SIZE = 12;

const STATES = {
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
} as const;

export type NeighbourState = keyof typeof STATES;

export interface Neighbour {
  /** Index of the interface behind which it lives. */
  readonly index: number;
  readonly address: string;
  /** Absent while the address is not resolved. */
  readonly mac?: string;
  readonly state: NeighbourState;
}

const body = (index: number, state = 0): Buffer => {
  const buffer = Buffer.alloc(BODY_SIZE);
  buffer.writeUInt8(AF_INET, 0);
  buffer.writeInt32LE(index, 4);
  buffer.writeUInt16LE(state, 8);
  return buffer;
};

export interface NeighbourEntry extends Neighbour {
  readonly mac: string;
  readonly state: 'reachable' | 'permanent' | 'stale';
}

/** Enters a neighbour, or replaces what is known of it; packets held for it leave at once. */
export const setNeighbour = (nl: NetlinkSocket, { index, address, mac, state }: NeighbourEntry): void =>
  void nl.request({
    name: `RTM_NEWNEIGH ${address}`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [
      body(index, STATES[state]),
      attribute(NDA_DST, encodeIpv4(address)),
      attribute(NDA_LLADDR, encodeMac(mac)),
    ],
  });

/** Forgets a neighbour; one that is not known is no error. Packets held for it are lost. */
export const deleteNeighbour = (
  nl: NetlinkSocket,
  { index, address }: { index: number; address: string },
): void => {
  try {
    const parts = [body(index), attribute(NDA_DST, encodeIpv4(address))];
    nl.request({ name: `RTM_DELNEIGH ${address}`, type: RTM_DELNEIGH, parts });
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};

const decodeNeighbour = (payload: Buffer): Neighbour[] => {
  const attributes = new Attributes(payload, BODY_SIZE);
  const address = attributes.ipv4(NDA_DST);
  const names = Object.keys(STATES) as NeighbourState[];
  const state = names.find((name) => STATES[name] === payload.readUInt16LE(8));
  if (address === undefined || state === undefined) return [];
  const mac = attributes.mac(NDA_LLADDR);
  return [{ index: payload.readInt32LE(4), address, state, ...(mac === undefined ? {} : { mac }) }];
};

/** The IPv4 neighbours behind one interface, or all. Entries that were just created and not yet asked for are left out. */
export const listNeighbours = (nl: NetlinkSocket, index?: number): Neighbour[] =>
  nl
    .request({ name: 'RTM_GETNEIGH', type: RTM_GETNEIGH, flags: NLM_F_DUMP, parts: [body(0)] })
    .flatMap(decodeNeighbour)
    .filter((found) => index === undefined || found.index === index);

export interface NeighbourParameters {
  /** Broadcast questions before a neighbour counts as failed (`mcast_solicit`). */
  readonly multicastProbes?: number;
  /** Questions to the known hardware address before it is doubted (`ucast_solicit`). */
  readonly unicastProbes?: number;
  /** Milliseconds between questions (`retrans_time_ms`). */
  readonly retransmitMs?: number;
  /** Bytes held for an address that is being resolved (`unres_qlen_bytes`). */
  readonly queueBytes?: number;
  /** Milliseconds for which an answer holds, at random between a half and one and a half of it (`base_reachable_time_ms`). */
  readonly reachableMs?: number;
  /** Milliseconds from the first use of a stale entry to the question about it (`delay_first_probe_time`). */
  readonly delayProbeMs?: number;
}

/** Sets parameters of the ARP table for one interface, and leaves those not given. Throws ENOENT. */
export const setNeighbourParameters = (
  nl: NetlinkSocket,
  index: number,
  parameters: NeighbourParameters,
): void => {
  const values = [
    u32Attribute(NDTPA_IFINDEX, index),
    ...optional(parameters.multicastProbes, (value) => u32Attribute(NDTPA_MCAST_PROBES, value)),
    ...optional(parameters.unicastProbes, (value) => u32Attribute(NDTPA_UCAST_PROBES, value)),
    ...optional(parameters.retransmitMs, (value) => u64Attribute(NDTPA_RETRANS_TIME, value)),
    ...optional(parameters.queueBytes, (value) => u32Attribute(NDTPA_QUEUE_LENBYTES, value)),
    ...optional(parameters.reachableMs, (value) => u64Attribute(NDTPA_BASE_REACHABLE_TIME, value)),
    ...optional(parameters.delayProbeMs, (value) => u64Attribute(NDTPA_DELAY_PROBE_TIME, value)),
  ];
  const table = Buffer.from([AF_INET, 0, 0, 0]);
  nl.request({
    name: `RTM_SETNEIGHTBL ${index}`,
    type: RTM_SETNEIGHTBL,
    parts: [table, textAttribute(NDTA_NAME, 'arp_cache'), nestedAttribute(NDTA_PARMS, values)],
  });
};
