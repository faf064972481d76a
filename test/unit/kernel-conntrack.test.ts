/** Entries of the kernel's connection table against bytes as a kernel sent them, and against bytes that are none. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeTracked } from '../../src/kernel/conntrack.ts';
import { attribute, nestedAttribute } from '../../src/kernel/messages.ts';

const BODY = Buffer.from([2, 0, 0, 0]);
const bytes = (type: number, hex: string): Buffer => attribute(type, Buffer.from(hex, 'hex'));

interface Tuple {
  readonly source: string;
  readonly destination: string;
  readonly protocol?: string;
  readonly sourcePort: string;
  readonly destinationPort: string;
}

const tuple = (type: number, { source, destination, protocol = '06', sourcePort, destinationPort }: Tuple) =>
  nestedAttribute(type, [
    nestedAttribute(1, [bytes(1, source), bytes(2, destination)]),
    nestedAttribute(2, [bytes(1, protocol), bytes(2, sourcePort), bytes(3, destinationPort)]),
  ]);

const ORIGINAL: Tuple = {
  source: 'c0000202',
  destination: 'c0000201',
  sourcePort: 'c350',
  destinationPort: '1f90',
};
const REPLY: Tuple = {
  source: '0a630002',
  destination: 'c0000202',
  sourcePort: '0050',
  destinationPort: 'c350',
};

test('a translated TCP connection', () => {
  const payload = Buffer.concat([
    BODY,
    tuple(1, ORIGINAL),
    tuple(2, REPLY),
    bytes(3, '000001ae'),
    bytes(7, '0006974f'),
    bytes(8, '41535000'),
    nestedAttribute(4, [nestedAttribute(1, [bytes(1, '03'), bytes(2, '07')])]),
    nestedAttribute(20, [bytes(1, '187a2b3c4d5e6f70')]),
  ]);
  expect(decodeTracked(payload)).toEqual({
    protocol: 'tcp',
    original: {
      source: { address: '192.0.2.2', port: 50_000 },
      destination: { address: '192.0.2.1', port: 8080 },
    },
    reply: {
      source: { address: '10.99.0.2', port: 80 },
      destination: { address: '192.0.2.2', port: 50_000 },
    },
    state: 'ESTABLISHED',
    answered: true,
    translated: true,
    mark: 0x41535000,
    timeout: 431_951,
    since: Number(0x187a2b3c4d5e6f70n / 1_000_000n),
  });
});

test('a UDP flow that nobody has answered or translated has no state', () => {
  const udp = { protocol: '11' };
  const payload = Buffer.concat([BODY, tuple(1, { ...ORIGINAL, ...udp }), tuple(2, { ...REPLY, ...udp })]);
  expect(decodeTracked(payload)).toMatchObject({
    protocol: 'udp',
    answered: false,
    translated: false,
    mark: 0,
  });
  expect(decodeTracked(payload)).not.toHaveProperty('state');
});

test.each([
  ['another protocol', { ...ORIGINAL, protocol: '01' }],
  ['an IPv6 address', { ...ORIGINAL, source: '20010db8000000000000000000000001' }],
  ['a port of one byte', { ...ORIGINAL, sourcePort: 'c3' }],
  ['no protocol', { ...ORIGINAL, protocol: '' }],
])('%s is passed over', (_, original) => {
  expect(decodeTracked(Buffer.concat([BODY, tuple(1, original), tuple(2, REPLY)]))).toBeUndefined();
});

test('numbers of a wrong size count as absent', () => {
  const odd = [bytes(3, '01'), bytes(7, ''), bytes(8, '4153'), nestedAttribute(20, [bytes(1, '18')])];
  const state = nestedAttribute(4, [nestedAttribute(1, [bytes(1, '')])]);
  const found = decodeTracked(Buffer.concat([BODY, tuple(1, ORIGINAL), tuple(2, REPLY), ...odd, state]));
  expect(found).toMatchObject({ answered: false, translated: false, mark: 0 });
  for (const absent of ['state', 'timeout', 'since']) expect(found).not.toHaveProperty(absent);
});

test('no bytes make the decoder fail', () => {
  const whole = Buffer.concat([BODY, tuple(1, ORIGINAL), tuple(2, REPLY), bytes(3, '000001ae')]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (any) => void decodeTracked(Buffer.from(any))));
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
      const damaged = Buffer.from(whole);
      damaged[at] = value;
      decodeTracked(damaged.subarray(0, length));
    }),
  );
});
