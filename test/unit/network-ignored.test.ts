import { describe, expect, it } from 'vitest';
import { heardIn } from '../../src/network/heard.ts';
import { isIgnored, rangesOf } from '../../src/network/ignored.ts';

describe('ignored addresses', () => {
  it.each([
    [[], []],
    [['10.0.0.7/32'], ['10.0.0.7']],
    [['10.0.0.0/8'], [{ range: ['10.0.0.0', '10.255.255.255'] }]],
    [['10.1.2.3/8'], [{ range: ['10.0.0.0', '10.255.255.255'] }]],
    [['0.0.0.0/0'], [{ range: ['0.0.0.0', '255.255.255.255'] }]],
    [['10.1.0.0/16', '10.0.0.0/8', '10.1.2.3/32'], [{ range: ['10.0.0.0', '10.255.255.255'] }]],
    [['10.0.0.8/29', '10.0.0.0/29'], [{ range: ['10.0.0.0', '10.0.0.15'] }]],
    [
      ['192.0.2.9/32', '10.0.0.0/30'],
      [{ range: ['10.0.0.0', '10.0.0.3'] }, '192.0.2.9'],
    ],
  ])('%j are the ranges %j, none of which overlap', (networks, ranges) => {
    expect(rangesOf(networks)).toEqual(ranges);
  });

  it.each([
    ['10.0.0.3', true],
    ['10.0.0.4', false],
    ['9.255.255.255', false],
    ['192.0.2.9', true],
    ['nonsense', false],
  ])('%s is one: %s', (address, ignored) => {
    expect(isIgnored(['10.0.0.0/30', '192.0.2.9/32'], address)).toBe(ignored);
  });
});

describe('what ports heard', () => {
  const element = (port: string, protocol: number, packets: number) => {
    const key = Buffer.alloc(24);
    key.write(port, 'latin1');
    key.set([10, 10, 0, 2], 16);
    key[20] = protocol;
    return { key, packets };
  };

  it('is told of each port by protocol', () => {
    const longest = 'asvabcd01234567';
    expect(heardIn([element('asv1', 17, 4), element('asv1', 6, 3), element(longest, 6, 9)])).toEqual(
      new Map([
        ['asv1', { answers: 3, datagrams: 4 }],
        [longest, { answers: 9, datagrams: 0 }],
      ]),
    );
  });
});
