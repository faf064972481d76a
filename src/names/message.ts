/**
 * Messages of the name protocol (RFC 1035, EDNS of RFC 6891): reads questions. What cannot be a question has no reply at all, so that
 * two servers cannot be made to talk with each other.
 */
import packet from 'dns-packet';
import type { Answer, DecodedPacket, OptAnswer } from 'dns-packet';
import type { NameQuestion } from './zone.ts';

export const HEADER_BYTES = 12;
/** A question is a few hundred bytes at most, whatever it brings along. */
export const MAX_QUERY_BYTES = 4096;
/** The largest reply by UDP: without EDNS, and with it, where it still fits a packet of any link. */
const PLAIN_BYTES = 512;
export const EDNS_BYTES = 1232;

const RESPONSE = 1 << 15;
const OPCODE = 0xf << 11;
export const TRUNCATED = 1 << 9;
const RECURSION_DESIRED = 1 << 8;
const CHECKING_DISABLED = 1 << 4;

export const RCODES = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
export type Rcode = keyof typeof RCODES;

export interface Query extends NameQuestion {
  /** The whole message. */
  readonly bytes: Buffer;
  /** Where the question ends. */
  readonly end: number;
  /** `IN`, ... */
  readonly class: string;
  readonly edns: { readonly version: number } | undefined;
  /** How many bytes the asker takes in a reply by UDP. */
  readonly udpBytes: number;
}

/** A message that is answered with an error alone, or a question. */
export type Received = { readonly query: Query } | { readonly refused: Buffer } | undefined;

/** The header of a reply to a message, with how many questions and records follow. */
export const replyHeader = (message: Buffer, flags: number, counts: readonly number[]): Buffer => {
  const kept = message.readUInt16BE(2) & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED);
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16BE(message.readUInt16BE(0), 0);
  bytes.writeUInt16BE(RESPONSE | kept | flags, 2);
  counts.forEach((count, index) => bytes.writeUInt16BE(count, 4 + index * 2));
  return bytes;
};

const refusal = (message: Buffer, rcode: Rcode): Received => ({
  refused: replyHeader(message, RCODES[rcode], []),
});

/** One question, no records, and at most what EDNS and signatures add: checked before anything is parsed. */
const isShaped = (message: Buffer): boolean =>
  message.length <= MAX_QUERY_BYTES &&
  message.readUInt16BE(4) === 1 &&
  message.readUInt16BE(6) === 0 &&
  message.readUInt16BE(8) === 0 &&
  message.readUInt16BE(10) <= 2;

const decode = (message: Buffer): DecodedPacket | undefined => {
  try {
    return packet.decode(message);
  } catch {
    return undefined;
  }
};

const isOpt = (record: Answer): record is OptAnswer => record.type === 'OPT';

/** Where the question of a message that could be decoded ends: as if nothing followed it. */
const questionEnd = (message: Buffer): number => {
  packet.decode(Buffer.from(message).fill(0, 6, HEADER_BYTES));
  return packet.decode.bytes;
};

/** What a message asks. None when it is itself a reply, or no message. Never throws. */
export const readQuery = (bytes: Buffer): Received => {
  if (bytes.length < HEADER_BYTES || (bytes.readUInt16BE(2) & RESPONSE) !== 0) return undefined;
  if ((bytes.readUInt16BE(2) & OPCODE) !== 0) return refusal(bytes, 'NOTIMP');
  const decoded = isShaped(bytes) ? decode(bytes) : undefined;
  const question = decoded?.questions?.[0];
  if (decoded === undefined || question === undefined) return refusal(bytes, 'FORMERR');
  const opts = (decoded.additionals ?? []).filter(isOpt);
  if (opts.length > 1) return refusal(bytes, 'FORMERR');
  const [opt] = opts;
  const udpBytes =
    opt === undefined ? PLAIN_BYTES : Math.min(Math.max(opt.udpPayloadSize, PLAIN_BYTES), EDNS_BYTES);
  const edns = opt === undefined ? undefined : { version: opt.ednsVersion };
  return {
    query: {
      name: question.name,
      type: question.type,
      class: String(question.class),
      bytes,
      end: questionEnd(bytes),
      edns,
      udpBytes,
    },
  };
};

/** The same message under another identifier. */
export const withId = (message: Buffer, id: number): Buffer => {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
};

/** Whether a message that came back is the reply to `asked`, and not one that somebody made up or one that is late. */
export const isReplyTo = (asked: Buffer, end: number, reply: Buffer): boolean =>
  reply.length >= HEADER_BYTES &&
  (reply.readUInt16BE(2) & RESPONSE) !== 0 &&
  reply.readUInt16BE(0) === asked.readUInt16BE(0) &&
  reply.readUInt16BE(4) === 1 &&
  reply.toString('latin1', HEADER_BYTES, end).toLowerCase() ===
    asked.toString('latin1', HEADER_BYTES, end).toLowerCase();

export const flagsOf = (message: Buffer): { truncated: boolean; rcode: number } => ({
  truncated: (message.readUInt16BE(2) & TRUNCATED) !== 0,
  rcode: message.readUInt16BE(2) & 0xf,
});
