/** What may be a site, and that nothing else gets through to HAProxy: its own check reads what is made of names of all kinds. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/exec/index.ts';
import { changes } from '../../src/gateway/changes.ts';
import { configText, mapText } from '../../src/gateway/config.ts';
import { siteFault } from '../../src/gateway/index.ts';
import type { GatewayPlan, Site } from '../../src/gateway/index.ts';
import { checkListen, digest } from '../../src/gateway/plan.ts';
import { layOut, place } from '../../src/gateway/pools.ts';
import type { Pool } from '../../src/gateway/pools.ts';

const site = (host: string, more: Partial<Site> = {}): Site => ({
  host,
  service: 'shop',
  backends: [{ name: 'one', address: '10.10.0.2', port: 80, awake: true }],
  ...more,
});
const planOf = (...sites: Site[]): GatewayPlan => ({ http: { port: 80 }, sites });

/** Host names as users may give them. */
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const host = fc
  .tuple(fc.boolean(), fc.array(label, { minLength: 1, maxLength: 5 }))
  .map(([star, labels]) => (star ? '*.' : '') + labels.join('.'));
const path = fc.stringMatching(/^(\/[A-Za-z0-9._~%@-]{1,12}){0,3}\/?$/).map((text) => text || '/');

describe('a site', () => {
  it.each(['shop.example', '*.shop.example', 'localhost', 'xn--bcher-kva.example', '10.0.0.1'])(
    'may be called %s',
    (name) => expect(siteFault(name)).toBeUndefined(),
  );

  it.each([
    '',
    'Shop.example',
    'shop_1.example',
    '-a.example',
    'a-.example',
    'a..b',
    'a.example.',
    '*',
    'a.*.example',
    '*a.example',
    'a.example:80',
    'a b',
    'a\nb',
    'a;b',
    `${'a'.repeat(64)}.example`,
    Array.from({ length: 64 }, () => 'abc').join('.'),
  ])('may not be called %j', (name) => expect(siteFault(name)).toBeDefined());

  it.each(['', 'shop', '//', '/a//b', '/a b', '/a;b', '/a#b', '/a\n', '/"', `/${'a'.repeat(1024)}`])(
    'may not be at %j',
    (text) => expect(siteFault('shop.example', text)).toBeDefined(),
  );

  it('has no name or path with what ends a word, a command or a line', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(text, text, (name, at) => {
        const harmless = /^[a-zA-Z0-9.*/_~%@-]+$/.test(`${name}/${at}`);
        expect(harmless || siteFault(name, `/${at}`) !== undefined).toBe(true);
      }),
    );
  });

  it.each([
    ['two backends of one name', site('a', { backends: [...site('a').backends, ...site('a').backends] })],
    ['no address', site('a', { backends: [{ name: 'one', address: 'host', port: 80, awake: true }] })],
    ['no port', site('a', { backends: [{ name: 'one', address: '::1', port: 0, awake: true }] })],
    ['a broken bound', site('a', { concurrency: 1.5 })],
  ])('may not have %s', (_, bad) => {
    expect(() => digest(planOf(bad))).toThrow(expect.objectContaining({ code: 'BAD_SITE' }));
  });

  it('may not be there twice, nor contradict another of its service', () => {
    expect(() => digest(planOf(site('a', { path: '/b' }), site('a', { path: '/b/' })))).toThrow(
      /two sites at a\/b\//,
    );
    expect(() => digest(planOf(site('a'), site('b', { backends: [] })))).toThrow(/different backends/);
    expect(digest(planOf(site('a'), site('b'))).services.size).toBe(1);
  });
});

describe('a plan', () => {
  it.each([
    ['no port', {}],
    ['a port that is none', { http: { port: 70_000 } }],
    ['an address that is none', { http: { address: 'eth0', port: 80 } }],
    ['HTTPS without certificates', { https: { port: 443 } }],
    ['a redirect to nowhere', { http: { port: 80 }, redirect: true }],
  ])('may not have %s', (_, plan) => {
    expect(() => checkListen({ ...plan, sites: [] })).toThrow(
      expect.objectContaining({ code: 'GATEWAY_FAILED' }),
    );
  });
});

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'appshot-gateway-'));
  mkdirSync(join(directory, 'empty'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let names = 0;
const nextName = (): string => `p${names++}`;

const contentOf = (pools: readonly Pool[], plan: GatewayPlan) => {
  const pool = new Map(pools.map((one) => [one.service, one.name]));
  return {
    pools,
    places: new Map([...digest(plan).places].map(([key, service]) => [key, pool.get(service) ?? ''])),
  };
};

const backends = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: 'binary' }),
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65_535 }),
    awake: fc.boolean(),
  }),
  { selector: ({ name }) => name, maxLength: 6 },
);
const plans = fc
  .uniqueArray(
    fc.record({
      host,
      path,
      service: fc.string({ unit: 'binary' }),
      backends,
      concurrency: fc.integer({ min: 0, max: 1000 }),
    }),
    { selector: (one) => `${one.host}${one.path.replace(/\/?$/, '/')}`, maxLength: 8 },
  )
  .map((sites) => planOf(...new Map(sites.map((one) => [one.service, one])).values()));

describe('the configuration', () => {
  it('is one that HAProxy accepts, whatever the names', async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const content = contentOf(layOut([], digest(plan).services, nextName), plan);
        const frame = { directory, user: undefined, plan };
        writeFileSync(join(directory, 'sites.map'), mapText(content.places));
        writeFileSync(join(directory, 'haproxy.cfg'), configText(frame, content.pools));
        await run('haproxy', ['-c', '-f', 'haproxy.cfg'], { cwd: directory });
      }),
      { numRuns: 25 },
    );
  }, 60_000);

  it('has as many lines for any names as for others', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const content = contentOf(layOut([], digest(plan).services, nextName), plan);
        const slots = content.pools.reduce((sum, { slots: { length } }) => sum + length, 0);
        const text = configText({ directory, user: 'haproxy', plan }, content.pools);
        expect(text.match(/^ {2}server /gm)?.length).toBe(slots);
        expect(text.match(/^[a-z]+/gm)?.slice(5)).toEqual(content.pools.map(() => 'backend'));
        expect(mapText(content.places).trimEnd().split('\n').filter(Boolean)).toHaveLength(plan.sites.length);
      }),
    );
  });

  it('quotes directories, and refuses those with a line end', async () => {
    const odd = join(directory, `it's "odd" $HOME \\ #`);
    mkdirSync(join(odd, 'empty'), { recursive: true });
    const frame = { directory: odd, user: undefined, plan: { http: { port: 80 } } };
    writeFileSync(join(odd, 'sites.map'), '');
    writeFileSync(join(odd, 'haproxy.cfg'), configText(frame, []));
    await run('haproxy', ['-c', '-f', 'haproxy.cfg'], { cwd: odd });
    expect(() => configText({ ...frame, directory: '/a\nb' }, [])).toThrow(/control character/);
  });
});

describe('changes', () => {
  it('of any plan to any other that fits are single words of commands, and none for the same', () => {
    fc.assert(
      fc.property(plans, plans, (one, other) => {
        const before = contentOf(layOut([], digest(one).services, nextName), one);
        const pools = place(before.pools, digest(other).services);
        expect(changes(before, contentOf(place(before.pools, digest(one).services) ?? [], one))).toEqual([]);
        if (pools === undefined) return;
        for (const command of changes(before, contentOf(pools, other)))
          expect(command).toMatch(/^(set|add|del) (server|maxconn|map)( [a-zA-Z0-9.*/:_~%@-]+)+$/);
      }),
    );
  });

  it('give before they take', () => {
    const two = (awake: boolean): Site['backends'] => [
      { name: 'one', address: '10.10.0.2', port: 80, awake: !awake },
      { name: 'two', address: '10.10.0.3', port: 80, awake },
    ];
    const [one, other] = [
      planOf(site('a', { backends: two(false) })),
      planOf(site('b', { backends: two(true) })),
    ];
    const before = contentOf(
      layOut([], digest(one).services, () => 'p'),
      one,
    );
    const after = contentOf(place(before.pools, digest(other).services) ?? [], other);
    expect(changes(before, after)).toEqual([
      'set server p/s1 weight 100',
      'add map sites.map b/ p',
      'del map sites.map a/',
      'set server p/s0 weight 0',
      'set server p/s0 state maint',
      'set server p/s0 state ready',
    ]);
  });
});
