import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replacement } from '../../src/network/border-expressions.ts';
import { borderTable } from '../../src/network/border-rules.ts';
import type { BorderedNetwork } from '../../src/network/border-rules.ts';

const network = (name: string, cidr: string, outgoing: boolean): BorderedNetwork => ({
  name,
  bridge: `asb${name}`,
  cidr,
  outgoing,
});
const elements = (networks: readonly BorderedNetwork[], set: string) =>
  borderTable('t', networks).sets[set]?.elements;

describe('what a border is made of', () => {
  const networks = [network('a', '10.20.0.0/16', false), network('b', '10.30.4.0/22', true)];

  it('names each network once for each question', () => {
    expect(elements(networks, 'bridges')).toEqual(['asba', 'asbb']);
    expect(elements(networks, 'within')).toEqual([
      { concat: ['asba', 'asba'] },
      { concat: ['asbb', 'asbb'] },
    ]);
    expect(elements(networks, 'gateways')).toEqual([
      { concat: ['asba', '10.20.0.1'] },
      { concat: ['asbb', '10.30.4.1'] },
    ]);
  });

  it('lets out, and translates, only those that may', () => {
    expect(elements(networks, 'outgoing')).toEqual(['asbb']);
    expect(elements(networks, 'masqueraded')).toEqual([{ prefix: { addr: '10.30.4.0', len: 22 } }]);
  });

  it('lets everybody ask the web gateway where it listens, and nowhere else', () => {
    const added = (web: Parameters<typeof borderTable>[2]) => {
      const [without, withWeb] = [[], web].map((some) => borderTable('t', networks, some).chains['input']);
      return withWeb?.rules.filter((rule) => !JSON.stringify(without).includes(JSON.stringify(rule)));
    };
    const port = (number: number) => ({
      match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: number },
    });
    expect(added([{ port: 80 }, { address: '::1', port: 81 }])).toEqual([[port(80), { accept: null }]]);
    expect(added([{ address: '10.1.2.3', port: 80 }])?.[0]).toEqual([
      {
        match: { op: '==', left: { payload: { protocol: 'ip', field: 'daddr' } }, right: '10.1.2.3' },
      },
      port(80),
      { accept: null },
    ]);
  });

  it('knows the addresses of each, to tell its applications from what is outside', () => {
    expect(elements(networks, 'networks')).toEqual([
      { prefix: { addr: '10.20.0.0', len: 16 } },
      { prefix: { addr: '10.30.4.0', len: 22 } },
    ]);
  });

  it('has the same rules however many networks there are', () => {
    const many = fc.array(fc.boolean(), { maxLength: 50 });
    fc.assert(
      fc.property(many, (outgoing) => {
        const plan = outgoing.map((may, index) => network(`n${index}`, `10.${index}.0.0/16`, may));
        expect(borderTable('t', plan).chains).toEqual(borderTable('t', []).chains);
      }),
    );
  });

  it('decides before the rules that hold packets for sleepers, which have the priority 0', () => {
    const { chains } = borderTable('t', networks);
    for (const name of ['forward', 'input']) expect(chains[name]?.hook?.prio).toBeLessThan(0);
    expect(chains['output']).toBeUndefined();
  });
});

describe('a replacement', () => {
  const verbs = replacement(borderTable('t', [network('a', '10.20.0.0/16', true)])).map((command) => {
    const [verb, object] = Object.entries(command)[0] as [string, Record<string, unknown>];
    return `${verb} ${Object.keys(object)[0]}`;
  });

  it('removes what there was, whether or not there was any', () => {
    expect(verbs.slice(0, 3)).toEqual(['add table', 'delete table', 'add table']);
    expect(verbs.filter((verb) => verb.startsWith('delete'))).toHaveLength(1);
  });

  it('makes sets before chains, and chains before rules, which name them', () => {
    expect(verbs.slice(3).filter((verb, index, all) => verb !== all[index - 1])).toEqual([
      'add set',
      'add chain',
      'add rule',
    ]);
  });
});
