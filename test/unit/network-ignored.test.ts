import { describe, expect, it } from 'vitest';
import type { CountedElement } from '../../src/kernel/index.ts';
import { heardElements, readHeard } from '../../src/network/heard.ts';
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
  const element = (port: string, packets: number) => {
    const key = Buffer.alloc(28);
    key.write(port, 'latin1');
    return { key, packets };
  };
  const longest = 'asvabcd01234567';

  it('is told of each port, whether or not it ignores somebody', () => {
    const sets: Record<string, CountedElement[]> = {
      answers: [element('asv1', 3)],
      chosen: [element(longest, 9)],
      datagrams: [element('asv1', 4), element(longest, 0)],
    };
    expect(readHeard((set) => sets[set] ?? [])).toEqual(
      new Map([
        ['asv1', { answers: 3, datagrams: 4 }],
        [longest, { answers: 9, datagrams: 0 }],
      ]),
    );
  });

  it('is counted in one set of a port', () => {
    const one = { interface: 'asv1', mac: '02:a5:0a:0a:00:02', address: '10.10.0.2' };
    const elements = heardElements([one, { ...one, interface: longest, ignored: ['10.0.0.7/32'] }]);
    expect([...elements].map(([set, all]) => [set, all.length])).toEqual([
      ['answers', 1],
      ['chosen', 1],
      ['datagrams', 2],
      ['ignored', 1],
    ]);
  });
});
