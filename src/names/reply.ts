/**
 * Replies to questions for names. The question is copied byte for byte, in whatever case and with whatever labels it was asked, and the
 * records refer back to it.
 */
import packet from 'dns-packet';
import type { Answer } from 'dns-packet';
import { EDNS_BYTES, HEADER_BYTES, RCODES, TRUNCATED, replyHeader } from './message.ts';
import type { Query, Rcode } from './message.ts';
import { ZONE } from './zone.ts';
import type { NameRecord } from './zone.ts';

/** An address is an application's for life, but instances come and go. */
const TTL_SECONDS = 5;
/** A name that nobody has may be somebody's a moment later. */
const NEGATIVE_TTL_SECONDS = 1;

const AUTHORITATIVE = 1 << 10;
const RECURSION_AVAILABLE = 1 << 7;

interface Reply {
  readonly rcode: Rcode;
  readonly records?: readonly NameRecord[];
  /** Whether the answer comes with the end of the zone's authority, which says for how long it holds. */
  readonly soa?: boolean;
  readonly authoritative?: boolean;
  readonly recursive: boolean;
}

/** In front of a record: the name is the question's, at the end of the header. */
const POINTER = Buffer.of(0xc0, HEADER_BYTES);

const encode = (record: Answer): Buffer => {
  const bytes = packet.encode({ answers: [record] }).subarray(HEADER_BYTES);
  return record.name === '.' && record.type !== 'OPT' ? Buffer.concat([POINTER, bytes.subarray(1)]) : bytes;
};

const soaOf = (name: string): Answer => ({
  type: 'SOA',
  name,
  ttl: NEGATIVE_TTL_SECONDS,
  data: {
    mname: ZONE,
    rname: `nobody.${ZONE}`,
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: NEGATIVE_TTL_SECONDS,
  },
});

const toAnswer = ({ type, data }: NameRecord): Answer =>
  type === 'SOA' ? soaOf('.') : { type, name: '.', ttl: TTL_SECONDS, data };

const optOf = ({ edns }: Query, rcode: number): Answer[] =>
  edns === undefined
    ? []
    : [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: EDNS_BYTES,
          extendedRcode: rcode >> 4,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ];

/** The whole reply to a question, whatever its size. */
export const buildReply = (query: Query, reply: Reply): Buffer => {
  const rcode = RCODES[reply.rcode];
  const flags =
    (rcode & 0xf) |
    (reply.authoritative === true ? AUTHORITATIVE : 0) |
    (reply.recursive ? RECURSION_AVAILABLE : 0);
  const sections = [
    (reply.records ?? []).map(toAnswer),
    reply.soa === true ? [soaOf(ZONE)] : [],
    optOf(query, rcode),
  ];
  return Buffer.concat([
    replyHeader(query.bytes, flags, [1, ...sections.map(({ length }) => length)]),
    query.bytes.subarray(HEADER_BYTES, query.end),
    ...sections.flat().map(encode),
  ]);
};

/** A reply as UDP can carry it: itself, or its header and question alone, marked as truncated, so that the asker comes by TCP. */
export const fitUdp = (query: Query, reply: Buffer): Buffer => {
  if (reply.length <= query.udpBytes) return reply;
  const opt = optOf(query, 0).map(encode);
  const start = Buffer.from(reply.subarray(0, HEADER_BYTES));
  start.writeUInt16BE(start.readUInt16BE(2) | TRUNCATED, 2);
  [1, 0, 0, opt.length].forEach((count, index) => start.writeUInt16BE(count, 4 + index * 2));
  return Buffer.concat([start, query.bytes.subarray(HEADER_BYTES, query.end), ...opt]);
};
