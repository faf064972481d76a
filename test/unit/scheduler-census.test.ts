/** What the policy is told of applications, made from their records; and what the machine says. */
import { describe, expect, it } from 'vitest';
import { Roster } from '../../src/application/index.ts';
import type { ApplicationRecord } from '../../src/registry/index.ts';
import { Census } from '../../src/scheduler/census.ts';
import { MachineSensor, meminfo, stalled } from '../../src/scheduler/machine.ts';
import type { Doing } from '../../src/scheduler/member.ts';

const MB = 1 << 20;

const recordOf = (
  name: string,
  change: Partial<ApplicationRecord> = {},
  spec: Partial<ApplicationRecord['spec']> = {},
): ApplicationRecord => ({
  aid: `aid-${name}`,
  name,
  state: 'running',
  spec: {
    name,
    processes: [],
    volumes: [],
    limits: {},
    capabilities: { add: [], drop: [] },
    ...spec,
  },
  address: '10.10.0.2',
  hostname: name,
  epoch: 1,
  createdAt: '2026-01-01T00:00:00.000Z',
  since: '2026-01-01T00:00:00.000Z',
  snapshot: null,
  environment: null,
  step: null,
  operation: null,
  failure: null,
  data: {},
  ...change,
});

/** A census, a way to change what it counts, and one to look. */
const censusOf = (...records: ApplicationRecord[]) => {
  const roster = new Roster(records);
  const census = new Census(roster);
  const doing = new Map<string, Doing>();
  const look = (now: number, name: string) => {
    census.refresh(now, doing);
    return census.members.get(`aid-${name}`);
  };
  return { roster, census, doing, look };
};

describe('an application', () => {
  it('says what its specification does', () => {
    const spec = { idle: 10, policy: { priority: 70, freeze: 2, ignore: [] }, limits: { cpus: 0.5 } };
    const { look } = censusOf(recordOf('web', {}, spec));
    expect(look(5000, 'web')).toMatchObject({
      service: 'web',
      priority: 70,
      sleepAfter: 10_000,
      freezeAfter: 2000,
      cpuLimit: 0.5,
    });
    const { look: another } = censusOf(recordOf('plain'));
    expect(another(5000, 'plain')).toMatchObject({ priority: 50, sleepAfter: null, freezeAfter: null });
  });

  it('arrives by a start, a wake, a sleep or a turning back, and not by a freeze, a thaw or a save', () => {
    const { roster, look } = censusOf(recordOf('web', { state: 'starting' }));
    look(0, 'web');
    let epoch = 1;
    const at = (now: number, state: ApplicationRecord['state']) => {
      roster.apply(state, recordOf('web', { state, epoch: (epoch += 1) }));
      return look(now, 'web');
    };
    expect(at(100, 'running')).toMatchObject({ state: 'running', since: 100 });
    expect(at(200, 'freezing')).toMatchObject({ state: 'running', since: 100 });
    expect(at(300, 'frozen')).toMatchObject({ state: 'frozen', since: 100 });
    expect(at(400, 'running')).toMatchObject({ state: 'running', since: 100 });
    expect(at(500, 'snapshotting')).toMatchObject({ state: 'running', since: 100 });
    expect(at(600, 'running')).toMatchObject({ state: 'running', since: 100 });
    expect(at(700, 'sleeping')).toMatchObject({ state: 'sleeping', since: 100 });
    expect(at(800, 'running')).toMatchObject({ state: 'running', since: 800 });
    expect(at(900, 'asleep')).toMatchObject({ state: 'asleep', since: 900 });
  });

  it('shows what is being done with it before its record does', () => {
    const { doing, look } = censusOf(recordOf('web', { state: 'frozen' }));
    expect(look(0, 'web')?.state).toBe('frozen');
    doing.set('aid-web', 'sleep');
    expect(look(10, 'web')?.state).toBe('sleeping');
    doing.set('aid-web', 'retire');
    expect(look(20, 'web')?.state).toBe('other');
    doing.clear();
    expect(look(30, 'web')?.state).toBe('frozen');
  });

  it('is expected to take what it had when it last slept, and a clone what its siblings take', () => {
    const template = { id: 'T', name: 'mould', instance: 1, tree: null };
    const { census, look } = censusOf(
      recordOf('slept', { state: 'asleep', data: { held: 90 * MB, template } }),
      recordOf('fresh', { state: 'asleep', data: { template } }),
      recordOf('strange', { state: 'asleep' }),
    );
    look(0, 'slept');
    census.services(0);
    expect(look(0, 'slept')?.expectedBytes).toBe(90 * MB);
    expect(look(0, 'fresh')?.expectedBytes).toBe(90 * MB);
    expect(look(0, 'strange')?.expectedBytes).toBe(64 * MB);
  });

  it('still takes what it had before as long as it settles, and then what it has', () => {
    const { roster, look } = censusOf(recordOf('web', { state: 'asleep', data: { held: 90 * MB } }));
    look(0, 'web');
    roster.apply('running', recordOf('web', { epoch: 2, data: { held: 90 * MB } }));
    const member = look(1000, 'web');
    member?.weigh(10 * MB, 1500);
    expect(member).toMatchObject({ memoryBytes: 10 * MB, expectedBytes: 90 * MB });
    member?.weigh(120 * MB, 9000);
    expect(member).toMatchObject({ memoryBytes: 120 * MB, expectedBytes: 120 * MB });
  });

  it('has the connections that were open when it fell asleep, and awake the requests that a gateway counts', () => {
    const connections = [{ local: { address: '10.10.0.2', port: 80 } }];
    const data = { reachable: { listening: [], connections } };
    const { roster, census, look } = censusOf(recordOf('web', { state: 'sleeping', data }));
    look(0, 'web');
    roster.apply('asleep', recordOf('web', { state: 'asleep', epoch: 2, data }));
    expect(look(10, 'web')?.requestsOpen).toBe(1);
    roster.apply('running', recordOf('web', { epoch: 3, data }));
    expect(look(20, 'web')?.requestsOpen).toBe(0);
    const open = new Map([['aid-web', 4]]);
    census.hear(new Map([['web', { rate: 1, queue: 0, responseMs: 3, open }]]));
    expect(look(30, 'web')?.requestsOpen).toBe(4);
    const member = look(40, 'web');
    if (member) member.connections = 2;
    census.hear(new Map());
    expect(look(50, 'web')?.requestsOpen).toBe(2);
  });

  it('is forgotten when it is gone', () => {
    const { roster, look } = censusOf(recordOf('web'));
    expect(look(0, 'web')).toBeDefined();
    roster.apply('removed', recordOf('web', { epoch: 2 }));
    expect(look(10, 'web')).toBeUndefined();
  });
});

describe('a service', () => {
  const instances = { min: 1, max: 4, template: 'mould' };

  it('is whom its first instance that somebody started says it is, with all of its instances', () => {
    const { census, look } = censusOf(
      recordOf('shop', { data: { held: 10 * MB } }, { policy: { priority: 60, ignore: [], instances } }),
      recordOf('shop-2', { data: { made: true, held: 30 * MB } }, { service: 'shop' }),
      recordOf('gone', { state: 'stopped' }, { service: 'shop' }),
      recordOf('alone'),
    );
    look(0, 'shop');
    const load = { rate: 7, queue: 1, responseMs: 20, open: new Map<string, number>() };
    census.hear(new Map([['shop', load]]));
    const services = census.services(0);
    expect([...services.keys()]).toEqual(['shop']);
    expect(services.get('shop')).toEqual({
      name: 'shop',
      instances: ['aid-shop', 'aid-shop-2'],
      ...instances,
      priority: 60,
      expectedBytes: 30 * MB,
      load: { rate: 7, queue: 1, responseMs: 20 },
    });
    expect(census.members.get('aid-shop-2')?.made).toBe(true);
  });

  it('of which nobody says anything has what there is, and keeps nobody awake', () => {
    const { census, look } = censusOf(
      recordOf('a', {}, { service: 's' }),
      recordOf('b', {}, { service: 's' }),
    );
    look(0, 'a');
    expect(census.services(0).get('s')).toMatchObject({ min: 0, max: 2, template: null, load: null });
  });
});

describe('the machine', () => {
  it('tells its memory and who waits, from the words of the kernel', () => {
    expect(meminfo('MemTotal:       16 kB\nMemAvailable:    7 kB\n', 'MemAvailable')).toBe(7 * 1024);
    const psi =
      'some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.25 avg60=0.00 avg300=0.00 total=0\n';
    expect([stalled(psi, 'some'), stalled(psi, 'full')]).toEqual([12.5, 3.25]);
  });

  it('has what is given to applications, as far as it has that', () => {
    const sensor = new MachineSensor(100 * MB);
    const machine = sensor.read(0, 30 * MB);
    expect(machine).toMatchObject({ memoryBytes: 100 * MB, availableBytes: 70 * MB });
    expect(machine.reserveBytes).toBe((100 * MB) / 16);
    const all = new MachineSensor().read(0, 30 * MB);
    expect(all.availableBytes).toBeGreaterThan(0);
    expect(all.availableBytes).toBeLessThan(all.memoryBytes);
    expect(all.cores).toBeGreaterThan(0);
  });
});
