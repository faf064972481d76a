import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseAddress } from '../../src/registry/choose-address.ts';
import { contains, formatAddress, parseAddress, parseNetwork } from '../../src/registry/index.ts';

const octet = fc.integer({ min: 0, max: 255 });
const dotted = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));
/** A network for hosts, small enough to walk through. */
const smallNetwork = fc
  .record({
    first: fc.integer({ min: 1, max: 126 }),
    rest: fc.nat(0xffffff),
    prefix: fc.integer({ min: 24, max: 30 }),
  })
  .map(({ first, rest, prefix }) => {
    const address = first * 2 ** 24 + rest;
    return `${formatAddress(address - (address % 2 ** (32 - prefix)))}/${prefix}`;
  });

describe('addresses', () => {
  it('are the same after parsing and formatting', () => {
    fc.assert(fc.property(dotted, (text) => formatAddress(parseAddress(text) ?? 0) === text));
  });

  it('keep their order as numbers', () => {
    expect(parseAddress('10.10.0.255')).toBeLessThan(parseAddress('10.10.1.0') ?? 0);
    expect(parseAddress('255.255.255.255')).toBe(2 ** 32 - 1);
  });

  it.each([
    '',
    '10.10.0',
    '10.10.0.0.1',
    '10.10.0.256',
    '10.10.0.01',
    '10.10.0.-1',
    '10.10.0.1 ',
    '0x0a.1.1.1',
    '::1',
  ])('refuse %j', (text) => expect(parseAddress(text)).toBeUndefined());
});

describe('networks', () => {
  it('know their parts', () => {
    const network = parseNetwork('10.10.0.0/16');
    expect(formatAddress(network.gateway)).toBe('10.10.0.1');
    expect(formatAddress(network.broadcast)).toBe('10.10.255.255');
  });

  it('contain exactly their addresses', () => {
    fc.assert(
      fc.property(smallNetwork, dotted, (cidr, text) => {
        const network = parseNetwork(cidr);
        const address = parseAddress(text) ?? 0;
        const shift = 2 ** (32 - network.prefix);
        expect(contains(network, address)).toBe(
          Math.floor(address / shift) === Math.floor(network.base / shift),
        );
        expect(network.broadcast - network.base + 1).toBe(shift);
      }),
    );
  });

  it.each([
    ['10.10.0.0', 'not an IPv4 network'],
    ['10.10.0.0/', 'not an IPv4 network'],
    ['10.10.0.0/016', 'not an IPv4 network'],
    ['10.10.0.0/16/2', 'not an IPv4 network'],
    ['fd00::/64', 'not an IPv4 network'],
    ['10.10.0.1/16', 'the network is 10.10.0.0/16'],
    ['10.0.0.0/7', 'not between /8 and /30'],
    ['10.10.0.0/31', 'not between /8 and /30'],
    ['127.0.0.0/8', 'not a network for hosts'],
    ['0.0.0.0/8', 'not a network for hosts'],
    ['224.0.0.0/8', 'not a network for hosts'],
    ['255.255.255.0/24', 'not a network for hosts'],
  ])('refuse %s', (cidr, reason) => {
    expect(() => parseNetwork(cidr)).toThrow(
      expect.objectContaining({ code: 'BAD_NETWORK', message: expect.stringContaining(reason) as string }),
    );
  });
});

describe('the choice of an address', () => {
  it('goes round a network once, gives each address once, and none that is withheld', () => {
    fc.assert(
      fc.property(smallNetwork, fc.nat(7), (cidr, offset) => {
        const network = parseNetwork(cidr);
        const reserved = [formatAddress(network.gateway + 1 + offset)];
        const free =
          network.broadcast - network.gateway - 1 - Number(network.gateway + 1 + offset < network.broadcast);
        const given = new Set<number>();
        let last: number | undefined;
        const next = () =>
          chooseAddress(network, { reserved }, { last, owner: (at) => (given.has(at) ? 'x' : undefined) });
        for (let count = 0; count < free; count += 1) {
          const address = parseAddress(next()) ?? 0;
          expect(given).not.toContain(address);
          given.add(address);
          last = address;
        }
        expect(next).toThrow(expect.objectContaining({ code: 'ADDRESSES_EXHAUSTED' }));
        const withheld = [network.base, network.gateway, network.broadcast, parseAddress(reserved[0] ?? '')];
        expect(withheld.filter((address) => given.has(address ?? -1))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
