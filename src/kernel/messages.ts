/**
 * Encoder and decoder of netlink messages: a header of 16 bytes, a fixed body, then attributes (u16 length, u16 type,
 * payload, padding to 4 bytes). Pure; numbers are in host order, which is little-endian.
 */
import { decodeIpv4, decodeMac } from './ip-text.ts';

export const HEADER_SIZE = 16;
const ATTRIBUTE_HEADER = 4;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

const align = (length: number): number => (length + 3) & ~3;

/** One attribute, padded. */
export const attribute = (type: number, payload: Uint8Array): Buffer => {
  const buffer = Buffer.alloc(align(ATTRIBUTE_HEADER + payload.length));
  buffer.writeUInt16LE(ATTRIBUTE_HEADER + payload.length, 0);
  buffer.writeUInt16LE(type, 2);
  buffer.set(payload, ATTRIBUTE_HEADER);
  return buffer;
};

export const u32Attribute = (type: number, value: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value >>> 0);
  return attribute(type, payload);
};

export const u64Attribute = (type: number, value: number): Buffer => {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(BigInt(value));
  return attribute(type, payload);
};

export const textAttribute = (type: number, text: string): Buffer =>
  attribute(type, Buffer.from(`${text}\0`));

export const nestedAttribute = (type: number, parts: readonly Uint8Array[]): Buffer =>
  attribute(type | NESTED, Buffer.concat(parts));

/** The parts of a message that were asked for: `optional(mac, (value) => attribute(..))`. */
export const optional = <Value>(value: Value | undefined, encode: (value: Value) => Buffer): Buffer[] =>
  value === undefined ? [] : [encode(value)];

/** A complete message. */
export const encodeMessage = (
  type: number,
  flags: number,
  sequence: number,
  parts: readonly Uint8Array[],
): Buffer => {
  const message = Buffer.concat([Buffer.alloc(HEADER_SIZE), ...parts]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  return message;
};

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Body and attributes; shares memory with what was decoded. */
  readonly payload: Buffer;
}

/** The messages of one datagram; a length that does not fit ends the list. */
export const decodeMessages = (datagram: Buffer): Message[] => {
  const messages: Message[] = [];
  for (let at = 0; at + HEADER_SIZE <= datagram.length;) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_SIZE || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + HEADER_SIZE, at + length),
    });
    at += align(length);
  }
  return messages;
};

/** Attributes by type, with readers that give undefined for an absent one. */
export class Attributes {
  readonly #values = new Map<number, Buffer>();

  /** `offset`: where the attributes begin, after the message's fixed body. */
  constructor(payload: Buffer, offset = 0) {
    for (let at = offset; at + ATTRIBUTE_HEADER <= payload.length;) {
      const length = payload.readUInt16LE(at);
      if (length < ATTRIBUTE_HEADER || at + length > payload.length) break;
      this.#values.set(
        payload.readUInt16LE(at + 2) & TYPE_MASK,
        payload.subarray(at + ATTRIBUTE_HEADER, at + length),
      );
      at += align(length);
    }
  }

  bytes(type: number): Buffer | undefined {
    return this.#values.get(type);
  }

  u8(type: number): number | undefined {
    return this.#values.get(type)?.readUInt8();
  }

  u32(type: number): number | undefined {
    return this.#values.get(type)?.readUInt32LE();
  }

  u64(type: number): number | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : Number(value.readBigUInt64LE());
  }

  /** Text up to its terminating zero. */
  text(type: number): string | undefined {
    const value = this.#values.get(type);
    return value?.toString('utf8', 0, value.at(-1) === 0 ? value.length - 1 : value.length);
  }

  ipv4(type: number): string | undefined {
    const value = this.#values.get(type);
    return value?.length === 4 ? decodeIpv4(value) : undefined;
  }

  mac(type: number): string | undefined {
    const value = this.#values.get(type);
    return value?.length === 6 ? decodeMac(value) : undefined;
  }

  nested(type: number): Attributes {
    return new Attributes(this.#values.get(type) ?? Buffer.alloc(0));
  }
}
