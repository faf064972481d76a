import { describe, expect, it } from 'vitest';
import type { SiteSpec, State } from '../../src/api/index.ts';
import { checkSites, planSites } from '../../src/application/site-plan.ts';
import { loadsOf } from '../../src/application/sites.ts';
import type { House } from '../../src/application/index.ts';
import type { ApplicationRecord } from '../../src/registry/index.ts';

const record = (
  name: string,
  more: {
    service?: string;
    state?: State;
    sites?: SiteSpec[];
    born?: number;
    concurrency?: number;
  } = {},
): ApplicationRecord => {
  const {
    service = 'shop',
    state = 'running',
    sites = [{ host: 'shop.example', port: 80 }],
    born = 1,
    concurrency,
  } = more;
  const policy = { instances: { min: 0, max: 2, concurrency } };
  const at = `2026-01-01T00:00:0${born}Z`;
  const partial = { aid: name, name, address: `10.0.0.${born}`, state, since: at, createdAt: at };
  return { ...partial, spec: { service, sites, policy } } as unknown as ApplicationRecord;
};

/** By site, its service and those that get its requests, in brackets the others. */
const plan = (records: readonly ApplicationRecord[], serving = records): Record<string, string> =>
  Object.fromEntries(
    planSites(records, serving).map(({ host, path = '', service, backends }) => [
      host + path,
      [service, ...backends.map(({ name, awake }) => (awake ? name : `(${name})`))].join(' '),
    ]),
  );

describe('who gets the requests of a site', () => {
  it('is whoever runs; else the one that answers soonest', () => {
    const [one, two] = [record('one'), record('two', { state: 'asleep', born: 2 })];
    expect(plan([one, two])).toEqual({ 'shop.example': 'shop:80 one (two)' });
    expect(plan([record('one', { state: 'sleeping' }), two])).toEqual({
      'shop.example': 'shop:80 (one) two',
    });
    expect(plan([record('one', { state: 'frozen' }), two])).toEqual({ 'shop.example': 'shop:80 one (two)' });
  });

  it('is nobody who is drained, whose requests under way are measured even so', () => {
    const [one, two] = [record('one'), record('two', { born: 2 })];
    expect(plan([one, two], [two])).toEqual({ 'shop.example': 'shop:80 (one) two' });
  });

  it('are bounded at once as the oldest says that says so', () => {
    const bounds = (...records: ApplicationRecord[]) =>
      planSites(records, records).map(({ concurrency }) => concurrency);
    const two = record('two', { born: 2, concurrency: 8 });
    expect(bounds(record('one'), two, record('three', { born: 3, concurrency: 9 }))).toEqual([8]);
    expect(bounds(record('one'))).toEqual([undefined]);
  });

  it('are the instances of the service at that port, whichever of them names the site', () => {
    const two = record('two', {
      born: 2,
      sites: [
        { host: 'b.example', path: '/x', port: 80 },
        { host: 'c.example', port: 81 },
      ],
    });
    expect(plan([record('one'), two])).toEqual({
      'shop.example': 'shop:80 one two',
      'b.example/x': 'shop:80 one two',
      'c.example': 'shop:81 two',
    });
  });

  it('is the oldest service, should two have one site', () => {
    const rival = record('rival', {
      service: 'rival',
      sites: [{ host: 'shop.example', path: '/', port: 80 }],
    });
    expect(plan([record('one', { born: 2 }), rival])).toEqual({ 'shop.example/': 'rival:80 rival' });
  });
});

describe('a site is refused', () => {
  const check = (sites: SiteSpec[], gateway: unknown = {}, service = 'rival'): (() => void) => {
    const house = { gateway, roster: { instances: [record('one')] } } as unknown as House;
    return () => checkSites(house, record('new', { service, sites }));
  };

  it.each([
    ['of another service', [{ host: 'shop.example', path: '/', port: 80 }], {}, 'rival', 'SITE_TAKEN'],
    ['at another port', [{ host: 'shop.example', port: 81 }], {}, 'shop', 'SITE_TAKEN'],
    ['that is none', [{ host: 'a b', port: 81 }], {}, 'shop', 'BAD_SITE'],
    ['without a gateway', [{ host: 'new.example', port: 81 }], undefined, 'shop', 'GATEWAY_OFF'],
  ])('%s', (_, sites, gateway, service, code) => {
    const refused = gateway === undefined ? check(sites, null, service) : check(sites, gateway, service);
    expect(refused).toThrow(expect.objectContaining({ code }));
  });

  it('and no other', () => {
    expect(check([{ host: 'shop.example', path: '/api', port: 80 }])).not.toThrow();
    expect(check([{ host: 'shop.example', port: 80 }], {}, 'shop')).not.toThrow();
    expect(check([], null)).not.toThrow();
  });
});

describe('the load of a service', () => {
  const port = (service: string, rate: number, answers: number, responseMs: number, open: number) => ({
    ...{ service, requestsPerSecond: rate, queue: 1, recent: { answers, responseMs } },
    backends: [{ name: 'one', open }],
  });

  it('is that of all its ports', () => {
    const loads = loadsOf([
      port('shop:80', 3, 9, 10, 2),
      port('shop:81', 1, 1, 110, 1),
      port('blog:80', 0, 0, 0, 0),
    ]);
    expect(loads.get('shop')).toEqual({ rate: 4, queue: 2, responseMs: 20, open: new Map([['one', 3]]) });
    expect(loads.get('blog')).toEqual({ rate: 0, queue: 1, responseMs: null, open: new Map([['one', 0]]) });
  });
});
