/** Netlink messages, addresses and ARP frames against bytes written out by hand, and against themselves. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeArpRequest, encodeArpRequest } from '../../src/kernel/arp.ts';
import { decodeIpv4, decodeIpv6, decodeMac, encodeIpv4, encodeMac } from '../../src/kernel/ip-text.ts';
import {
  Attributes,
  decodeMessages,
  encodeMessage,
  nestedAttribute,
  textAttribute,
  u32Attribute,
  u64Attribute,
} from '../../src/kernel/messages.ts';

describe('addresses', () => {
  test('any IPv4 address survives', () => {
    fc.assert(fc.property(fc.ipV4(), (address) => decodeIpv4(encodeIpv4(address)) === address));
  });

  test.each(['10.0.0', '10.0.0.256', '::1', 'host', '10.0.0.1/8', ''])('%j is no IPv4 address', (text) => {
    expect(() => encodeIpv4(text)).toThrow(RangeError);
  });

  test('a hardware address survives, in lower case', () => {
    expect(decodeMac(encodeMac('02:AB:00:00:00:fF'))).toBe('02:ab:00:00:00:ff');
  });

  test.each(['02:00:00:00:00', '02-00-00-00-00-01', '02:00:00:00:00:0g'])(
    '%j is no hardware address',
    (text) => {
      expect(() => encodeMac(text)).toThrow(RangeError);
    },
  );

  test.each([
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000000000000000000fff', '2001:db8::fff'],
    ['00000000000000000000ffff0a630002', '10.99.0.2'],
  ])('%s reads %s', (hex, text) => {
    expect(decodeIpv6(Buffer.from(hex, 'hex'))).toBe(text);
  });
});

describe('netlink messages', () => {
  test('header, body and padded attributes lie where the kernel wants them', () => {
    const message = encodeMessage(16, 0x605, 7, [Buffer.from([1, 2, 3, 4]), textAttribute(3, 'br0x')]);
    expect(message.toString('hex')).toBe(
      '20000000' +
        '1000' +
        '0506' +
        '07000000' +
        '00000000' +
        '01020304' +
        '0900' +
        '0300' +
        '62723078' +
        '00000000',
    );
  });

  test('what was encoded is decoded, nested attributes too', () => {
    const nested = nestedAttribute(18, [textAttribute(1, 'veth'), u64Attribute(5, 2 ** 40)]);
    const datagram = Buffer.concat([
      encodeMessage(16, 2, 9, [Buffer.alloc(4), nested, u32Attribute(4, 0xffffffff)]),
      encodeMessage(3, 2, 9, [Buffer.alloc(4)]),
    ]);
    const messages = decodeMessages(datagram);
    expect(messages.map(({ type, flags, sequence }) => [type, flags, sequence])).toEqual([
      [16, 2, 9],
      [3, 2, 9],
    ]);
    const attributes = new Attributes(messages[0]?.payload ?? Buffer.alloc(0), 4);
    expect(attributes.u32(4)).toBe(0xffffffff);
    expect(attributes.nested(18).text(1)).toBe('veth');
    expect(attributes.nested(18).u64(5)).toBe(2 ** 40);
    expect(attributes.u32(99)).toBeUndefined();
  });

  test('no bytes make the decoders fail or run on', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const messages = decodeMessages(Buffer.from(bytes));
        const total = messages.reduce((sum, { payload }) => sum + payload.length, 0);
        const largest = Math.max(
          0,
          ...[0, 1, 2].map((type) => new Attributes(Buffer.from(bytes)).bytes(type)?.length ?? 0),
        );
        expect(Math.max(total, largest)).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe('ARP', () => {
  const request = { sourceMac: '02:00:00:00:00:03', sourceAddress: '10.99.0.1', targetAddress: '10.99.0.5' };

  test('a request survives, with the padding that short frames get', () => {
    const frame = Buffer.concat([encodeArpRequest(request), Buffer.alloc(18)]);
    expect(decodeArpRequest(frame)).toEqual(request);
  });

  test('replies, other protocols and short frames are none', () => {
    const reply = encodeArpRequest(request);
    reply.writeUInt16BE(2, 20);
    const ipv4 = encodeArpRequest(request);
    ipv4.writeUInt16BE(0x0800, 12);
    for (const frame of [reply, ipv4, encodeArpRequest(request).subarray(0, 41), Buffer.alloc(0)]) {
      expect(decodeArpRequest(frame)).toBeUndefined();
    }
  });
});
