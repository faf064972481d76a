/**
 * How many packets matched each element of an nf_tables set whose elements count: NFT_MSG_GETSETELEM over nfnetlink
 * (linux/netfilter/nf_tables.h), whose numbers are in network order. The library that is used for everything else (nftables.ts) takes
 * 50 µs for an element, too long for what is read once a second for each application. Needs a `NetlinkSocket` of NETLINK_NETFILTER.
 */
import { Attributes, textAttribute } from './messages.ts';
import { NLM_F_DUMP } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';

/** NFNL_SUBSYS_NFTABLES in the upper byte. */
const NFT_MSG_GETSETELEM = 0xa00 | 13;
const NFPROTO = { inet: 1, ip: 2, bridge: 7 } as const;
const BODY_SIZE = 4;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_EXPR = 7;
const NFTA_DATA_VALUE = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_COUNTER_PACKETS = 2;
const ATTRIBUTE_HEADER = 4;

export interface SetName {
  readonly family: keyof typeof NFPROTO;
  readonly table: string;
  readonly set: string;
}

export interface CountedElement {
  /** The fields of a concatenation are padded to 4 bytes each, an interface's name to 16. */
  readonly key: Buffer;
  readonly packets: number;
}

/** Unlike other attributes those of a list are all of one type. */
const listed = (list: Buffer): Attributes[] => {
  const found: Attributes[] = [];
  for (let at = 0; at + ATTRIBUTE_HEADER <= list.length;) {
    const length = list.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER) break;
    found.push(new Attributes(list.subarray(at + ATTRIBUTE_HEADER, at + length)));
    at += (length + 3) & ~3;
  }
  return found;
};

const decode = (element: Attributes): CountedElement | undefined => {
  const key = element.nested(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE);
  const counter = element.nested(NFTA_SET_ELEM_EXPR).nested(NFTA_EXPR_DATA);
  const packets = counter.bytes(NFTA_COUNTER_PACKETS);
  return key && packets?.length === 8 ? { key, packets: Number(packets.readBigUInt64BE()) } : undefined;
};

/** All elements that count. Throws ENOENT when there is no such set. */
export const listSetCounters = (nl: NetlinkSocket, { family, table, set }: SetName): CountedElement[] => {
  const parts = [
    Buffer.from([NFPROTO[family], 0, 0, 0]),
    textAttribute(NFTA_SET_ELEM_LIST_TABLE, table),
    textAttribute(NFTA_SET_ELEM_LIST_SET, set),
  ];
  return nl
    .request({ name: 'NFT_MSG_GETSETELEM', type: NFT_MSG_GETSETELEM, flags: NLM_F_DUMP, parts })
    .flatMap((payload) => {
      const list = new Attributes(payload, BODY_SIZE).bytes(NFTA_SET_ELEM_LIST_ELEMENTS);
      return list ? listed(list) : [];
    })
    .flatMap((element) => decode(element) ?? []);
};
