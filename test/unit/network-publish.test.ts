/** Rounds of published ports, and which of the kernel's records must go when they change. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TrackedConnection } from '../../src/kernel/index.ts';
import { isLost, isOlder, mayLose, translationOf } from '../../src/network/publish-flows.ts';
import { Rules, keyOf, roundOf } from '../../src/network/publish-rules.ts';
import type { PublishedPort, Target } from '../../src/network/publish-rules.ts';

const target = (host: number, weight?: number): Target => ({
  address: `10.99.0.${host}`,
  port: 80,
  ...(weight === undefined ? {} : { weight }),
});
const udp = (...targets: Target[]): PublishedPort => ({ protocol: 'udp', port: 8080, targets });
const portsOf = (...ports: PublishedPort[]): Map<string, PublishedPort> =>
  new Map(ports.map((one) => [keyOf(one), one]));

describe('a round', () => {
  const hosts = (...targets: Target[]): string =>
    roundOf(targets)
      .map(({ address }) => address.split('.')[3])
      .join('');

  test.each([
    ['one each', [target(1), target(2), target(3)], '123'],
    ['shares have no common divisor', [target(1, 50), target(2, 50)], '12'],
    ['the larger share is spread', [target(1, 3), target(2)], '1121'],
    ['a share of nothing', [target(1), target(2, 0)], '1'],
    ['nothing for anybody', [target(1, 0)], ''],
    ['nobody', [], ''],
    ['large shares', [target(1, 2000), target(2, 1000)], '121'],
  ])('%s', (_, targets, expected) => {
    expect(hosts(...targets)).toBe(expected);
  });

  test('keeps the shares, rounded, and is never much longer than 256 places', () => {
    const weights = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(weights, (shares) => {
        const round = roundOf(shares.map((weight, host) => target(host, weight)));
        const total = shares.reduce((sum, share) => sum + share, 0);
        expect(round.length).toBeLessThanOrEqual(256 + shares.length);
        const off = [...shares.entries()].filter(([host, share]) => {
          const places = round.filter(({ address }) => address === target(host).address).length;
          return share === 0
            ? places > 0
            : places === 0 || Math.abs(places / round.length - share / total) > 0.1;
        });
        expect(off).toEqual([]);
      }),
    );
  });
});

describe('rules', () => {
  const rules = new Rules('appshot_test', 7);

  test('of two ports never share a name', () => {
    const address = '192.0.2.1';
    const ports = (['tcp', 'udp'] as const).flatMap((protocol) => [
      { protocol, port: 80 },
      { protocol, port: 80, address },
      { protocol, port: 801 },
    ]);
    expect(new Set(ports.map(keyOf)).size).toBe(ports.length);
  });

  test('of one target choose among none', () => {
    expect(JSON.stringify(rules.open(udp(target(1), target(1))))).not.toContain('numgen');
    expect(JSON.stringify(rules.open(udp(target(1), target(2))))).toContain('numgen');
    expect(JSON.stringify(rules.open(udp()))).not.toContain('dnat');
  });

  test('of a change leave the way to the port alone', () => {
    expect(rules.change(udp(target(1))).map((command) => Object.keys(command)[0])).toEqual(['flush', 'add']);
  });
});

const tracked: TrackedConnection = {
  protocol: 'udp',
  original: {
    source: { address: '192.0.2.2', port: 5000 },
    destination: { address: '192.0.2.1', port: 8080 },
  },
  reply: { source: { address: '10.99.0.1', port: 80 }, destination: { address: '192.0.2.2', port: 5000 } },
  answered: true,
  translated: true,
  mark: 7,
  timeout: 30,
};

describe('records', () => {
  test.each<[string, Partial<TrackedConnection>, PublishedPort[], boolean]>([
    ['a flow to a target', {}, [udp(target(1), target(2))], false],
    ['a flow to a target that gets no new ones', {}, [udp(target(1, 0))], false],
    ['a flow to a target that is gone', {}, [udp(target(2))], true],
    ['a flow to a port that is gone', {}, [], true],
    ['a flow to a port that is closed', {}, [udp()], true],
    ['an open connection', { protocol: 'tcp' }, [], false],
    ['a connection that is held', { protocol: 'tcp', answered: false }, [], true],
    [
      'a target of the address alone',
      {},
      [udp(target(1)), { ...udp(target(2)), address: '192.0.2.1' }],
      true,
    ],
    ['a target of another address', {}, [udp(target(1)), { ...udp(target(2)), address: '192.0.2.9' }], false],
  ])('%s: lost or not', (_, change, ports, lost) => {
    expect(isLost({ ...tracked, ...change }, portsOf(...ports))).toBe(lost);
  });

  test.each<[string, PublishedPort, PublishedPort | undefined, boolean]>([
    ['more targets', udp(target(1)), udp(target(1), target(2)), false],
    ['other shares', udp(target(1)), udp(target(1, 5)), false],
    ['another target', udp(target(1)), udp(target(2)), true],
    ['no port', udp(target(1)), undefined, true],
    ['a first target', udp(), udp(target(1)), true],
    ['still none', udp(), udp(), false],
  ])('%s: a reason to look at them or not', (_, before, now, look) => {
    expect(mayLose(before, now)).toBe(look);
  });

  test.each<[string, Partial<TrackedConnection>, string | undefined, boolean]>([
    ['to this machine', {}, undefined, true],
    ['to the address', {}, '192.0.2.1', true],
    ['to another address', {}, '192.0.2.9', false],
    ['translated by others', { translated: true }, undefined, false],
    ['TCP', { protocol: 'tcp' }, undefined, false],
    [
      'passing through',
      {
        original: {
          ...tracked.original,
          destination: { address: '198.51.100.1', port: 8080 },
        },
      },
      undefined,
      false,
    ],
  ])('a flow %s is older than its port or not', (_, change, address, older) => {
    const flow = { ...tracked, mark: 0, translated: false, ...change };
    expect(isOlder(flow, { ...udp(), address }, new Set(['192.0.2.1']))).toBe(older);
  });

  test('are shown as a client and two ports', () => {
    expect(translationOf(tracked)).toEqual({
      protocol: 'udp',
      client: { address: '192.0.2.2', port: 5000 },
      first: { address: '192.0.2.1', port: 8080 },
      second: { address: '10.99.0.1', port: 80 },
      seen: { address: '192.0.2.2', port: 5000 },
      state: 'udp',
      timeout: 30,
    });
  });
});
