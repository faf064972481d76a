/** What questions for names are answered with. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answer, fullName, outsideNames, resolverFile, serversOf } from '../../src/names/index.ts';
import type { NameAnswer, NamedInstance } from '../../src/names/index.ts';

const instance = (name: string, address: string, more: Partial<NamedInstance> = {}): NamedInstance => ({
  name,
  hostname: name,
  service: name,
  network: 'default',
  address,
  ...more,
});

const DEFAULT = { name: 'default', cidr: '10.10.0.0/16' };
const BLUE = { name: 'blue', cidr: '10.20.0.0/24' };

const INSTANCES = [
  instance('web', '10.10.0.2'),
  instance('web-2', '10.10.0.3', { service: 'web' }),
  instance('web-3', '10.10.0.4', { service: 'web' }),
  instance('db', '10.10.0.5', { hostname: 'postgres' }),
  instance('db-blue', '10.20.0.2', { network: 'blue', hostname: 'db', service: 'store' }),
];

const ask = (name: string, type = 'A', network = DEFAULT): NameAnswer =>
  answer(INSTANCES, { name, type }, network);

const found = (...addresses: string[]): NameAnswer => ({
  kind: 'found',
  records: addresses.map((data) => ({ type: 'A', data })),
});
const UNKNOWN = { kind: 'unknown' };
const ELSEWHERE = { kind: 'elsewhere' };

describe('a name', () => {
  it.each(['db', 'db.appshot.internal', 'db.default.appshot.internal', 'DB.Default.AppShot.Internal'])(
    'is found as %s in the network default',
    (name) => expect(ask(name)).toEqual(found('10.10.0.5')),
  );

  it.each(['db-blue', 'db-blue.blue.appshot.internal', 'db', 'db.blue.appshot.internal', 'store'])(
    'is found as %s in another network',
    (name) => expect(ask(name, 'A', BLUE)).toEqual(found('10.20.0.2')),
  );

  it('is an application, its host name, or its service with all instances', () => {
    expect(ask('web-2')).toEqual(found('10.10.0.3'));
    expect(ask('postgres')).toEqual(found('10.10.0.5'));
    expect(ask('web')).toEqual(found('10.10.0.2', '10.10.0.3', '10.10.0.4'));
  });

  it.each(['A', 'ANY'])('has addresses when asked for %s', (type) =>
    expect(ask('db', type)).toEqual(found('10.10.0.5')),
  );

  // A resolver that asks for both families takes the name as unknown when one of them does not exist.
  it.each(['AAAA', 'MX', 'SOA', 'UNKNOWN_65'])('exists without records when asked for %s', (type) =>
    expect(ask('db', type)).toEqual(found()),
  );
});

describe('a name that nobody has', () => {
  it.each([
    'nobody',
    'nobody.appshot.internal',
    'nobody.default.appshot.internal',
    'x.web.default.appshot.internal',
    'x.web.appshot.internal',
    '.default.appshot.internal',
  ])('is unknown as %s', (name) => expect(ask(name)).toEqual(UNKNOWN));

  it.each([
    ['the network default', 'web-2.appshot.internal', BLUE],
    ['the network default by its name', 'web.default.appshot.internal', BLUE],
    ['another network', 'store.blue.appshot.internal', DEFAULT],
    ['another network', 'store', DEFAULT],
  ])('is unknown when it is of %s', (_, name, network) => {
    expect(ask(name, 'A', network)).toEqual(UNKNOWN);
    expect(ask(name, 'AAAA', network)).toEqual(UNKNOWN);
  });

  it.each(['appshot.internal', 'default.appshot.internal', 'internal'])(
    'exists as %s, since others are below it',
    (name) => expect(ask(name)).toEqual(found()),
  );

  it('does not tell of another network that it is there', () =>
    expect(ask('blue.appshot.internal')).toEqual(UNKNOWN));

  it('tells of the zone itself', () =>
    expect(ask('appshot.internal', 'SOA')).toEqual({ kind: 'found', records: [{ type: 'SOA', data: '' }] }));
});

describe('a name of others', () => {
  it.each(['example.com', 'web.example.com', 'xappshot.internal', 'web.internal', '.'])(
    'is elsewhere: %s',
    (name) => expect(ask(name)).toEqual(ELSEWHERE),
  );
  it('is elsewhere when it is a top-level domain', () => expect(ask('com', 'NS')).toEqual(ELSEWHERE));
});

describe('an address', () => {
  const pointer = (data: string): NameAnswer => ({ kind: 'found', records: [{ type: 'PTR', data }] });

  it('has the name of its application in full', () => {
    expect(ask('5.0.10.10.in-addr.arpa', 'PTR')).toEqual(pointer('db.default.appshot.internal'));
    expect(ask('2.0.20.10.IN-ADDR.ARPA', 'PTR', BLUE)).toEqual(pointer('db-blue.blue.appshot.internal'));
    expect(ask('5.0.10.10.in-addr.arpa', 'A')).toEqual(found());
  });

  it('is unknown when nobody of the network has it, and elsewhere outside of the network', () => {
    expect(ask('1.0.10.10.in-addr.arpa', 'PTR')).toEqual(UNKNOWN);
    expect(ask('2.0.20.10.in-addr.arpa', 'PTR')).toEqual(ELSEWHERE);
    expect(ask('1.1.1.1.in-addr.arpa', 'PTR')).toEqual(ELSEWHERE);
    expect(ask('300.0.10.10.in-addr.arpa', 'PTR')).toEqual(ELSEWHERE);
  });
});

const LABEL = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const OCTET = fc.integer({ min: 1, max: 254 });
const NETWORK = fc.constantFrom(DEFAULT, BLUE);
const instanceIn = fc.record({
  name: LABEL,
  hostname: LABEL,
  service: LABEL,
  network: NETWORK.map(({ name }) => name),
  address: fc.tuple(OCTET, OCTET).map(([third, last]) => `10.10.${third}.${last}`),
});

describe('any instances', () => {
  it('are found by each of their names, and by nobody of another network', () => {
    fc.assert(
      fc.property(fc.array(instanceIn, { maxLength: 20 }), NETWORK, (instances, network) => {
        const addressesOf = (name: string): string[] => {
          const result = answer(instances, { name, type: 'A' }, network);
          return result.kind === 'found' ? result.records.map(({ data }) => data) : [];
        };
        const own = instances.filter((each) => each.network === network.name);
        for (const each of own)
          for (const name of [each.name, each.hostname, each.service, fullName(each)])
            expect(addressesOf(name)).toContain(each.address);
        const addresses = own.map(({ address }) => address);
        const others = instances.flatMap((each) => [each.name, each.hostname, fullName(each)]);
        for (const address of others.flatMap(addressesOf)) expect(addresses).toContain(address);
      }),
      { numRuns: 200 },
    );
  });

  it('never make a question for anything throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), NETWORK, (name, type, network) => {
        expect(answer(INSTANCES, { name, type }, network).kind).toMatch(/^(found|unknown|elsewhere)$/);
      }),
    );
  });
});

describe('outside', () => {
  it('an instance has its full names, and bare ones in the network default that are free', () => {
    const [, second] = INSTANCES;
    expect(second && outsideNames(second, ['web'])).toEqual([
      'web-2.default.appshot.internal',
      'web-2.appshot.internal',
      'web.default.appshot.internal',
      'web.appshot.internal',
      'web-2',
    ]);
    const blue = INSTANCES.at(-1);
    expect(blue && outsideNames(blue, [])).toEqual([
      'db-blue.blue.appshot.internal',
      'db.blue.appshot.internal',
      'store.blue.appshot.internal',
    ]);
  });
});

describe("the resolver's configuration", () => {
  it('of an application leads to its gateway', () =>
    expect(resolverFile('10.20.0.1', 'blue')).toBe(
      'nameserver 10.20.0.1\nsearch blue.appshot.internal\noptions ndots:1\n',
    ));

  it('of the machine names servers, of which its own gateways are left out', () => {
    const text =
      '# nameserver 1.2.3.4\nnameserver 10.10.0.1\nnameserver\t127.0.0.53\nsearch example\nnameserver fe80::1%eth0\n' +
      'nameserver 127.0.0.53\nnameserver x\noptions edns0';
    expect(serversOf(text, ['10.10.0.1'])).toEqual(['127.0.0.53', 'fe80::1%eth0']);
  });
});
