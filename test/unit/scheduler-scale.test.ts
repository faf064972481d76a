import { describe, expect, it } from 'vitest';
import { appOf, Looks, serviceOf } from '../support/simulation/view.ts';
import type { Load } from '../../src/scheduler/policy/index.ts';

const CALM: Load = { rate: 10, queue: 0, responseMs: 10 };
const QUEUE: Load = { rate: 90, queue: 2, responseMs: 40 };

const instance = (name: string, facts = {}) =>
  appOf(name, { service: 'shop', sleepAfter: 3_600_000, made: name !== 'a', ...facts });

/** A service with such instances, under such a load. */
const shop = (load: Load | null, applications: ReturnType<typeof instance>[], facts = {}) => ({
  applications,
  services: [serviceOf('shop', { instances: applications.map(({ aid }) => aid), load, ...facts })],
});

describe('a service whose requests wait', () => {
  it('gets an instance when they have done so for a while, and no more until that helped', () => {
    const looks = new Looks();
    expect(looks.words(1000, shop(QUEUE, [instance('a')]))).toEqual([]);
    expect(looks.next).toBeLessThanOrEqual(1000);
    const [clone] = looks.at(3000, shop(QUEUE, [instance('a')]));
    expect(clone).toMatchObject({ kind: 'clone', aid: null, service: 'shop', code: 'queue' });
    expect(clone?.reason).toBe('2 requests waited for one of 1 instances for 2s');
    expect(looks.words(4000, shop(QUEUE, [instance('a')]))).toEqual([]);
    const two = [instance('a'), instance('b', { since: 4000 })];
    expect(looks.words(5000, shop(QUEUE, two))).toEqual([]);
    expect(looks.words(8000, shop(QUEUE, two))).toEqual(['clone shop queue']);
  });

  it('is watched from anew when the queue was empty in between', () => {
    const looks = new Looks();
    looks.at(1000, shop(QUEUE, [instance('a')]));
    looks.at(2000, shop(CALM, [instance('a')]));
    expect(looks.words(3500, shop(QUEUE, [instance('a')]))).toEqual([]);
  });

  it('gets twice as many when many wait, as far as its maximum lets', () => {
    const many = { ...QUEUE, queue: 50 };
    const three = ['a', 'b', 'c'].map((name) => instance(name));
    const looks = new Looks();
    looks.at(1000, shop(many, three, { max: 5 }));
    expect(looks.words(3000, shop(many, three, { max: 5 }))).toEqual([
      'clone shop queue',
      'clone shop queue',
    ]);
  });

  it('has its sleeping instances woken before new ones are made', () => {
    const looks = new Looks();
    const applications = [instance('a'), instance('b', { state: 'asleep' })];
    looks.at(1000, shop(QUEUE, applications));
    expect(looks.words(3000, shop(QUEUE, applications))).toEqual(['wake b queue']);
  });

  it('gets none without a template, beyond its maximum, or without room', () => {
    const facts = [
      shop(QUEUE, [instance('a'), instance('b')], { template: null }),
      shop(QUEUE, [instance('a'), instance('b')], { max: 2 }),
      { ...shop(QUEUE, [instance('a')]), machine: { availableBytes: 0, reserveBytes: 0 } },
    ];
    for (const each of facts) {
      const looks = new Looks();
      looks.at(1000, each);
      expect(looks.words(3000, each)).toEqual([]);
    }
  });

  it('waits twice as long after each step that did not help', () => {
    const looks = new Looks();
    const at: number[] = [];
    let applications = [instance('a')];
    for (let now = 1000; now < 200_000; now += 1000) {
      if (looks.words(now, shop(QUEUE, applications, { max: 100 })).length === 0) continue;
      at.push(now);
      applications = [...applications, instance(`made-${now}`, { since: now })];
    }
    expect(at.slice(1).map((one, before) => one - (at[before] ?? 0))).toEqual([
      5000, 10_000, 20_000, 40_000, 80_000,
    ]);
  });
});

describe('a service whose responses take long', () => {
  const usual = (looks: Looks): void => {
    for (let now = 0; now < 10_000; now += 1000) looks.at(now, shop(CALM, [instance('a')]));
  };

  it('gets an instance when they take three times what is usual for it', () => {
    const looks = new Looks();
    usual(looks);
    const slow = { rate: 20, queue: 0, responseMs: 35 };
    looks.at(10_000, shop(slow, [instance('a')]));
    const [clone] = looks.at(12_000, shop(slow, [instance('a')]));
    expect(clone).toMatchObject({ kind: 'clone', code: 'response' });
    expect(clone?.reason).toBe(
      'responses took 35ms for 2s, usual are 10ms, at 20 requests a second on 1 instances',
    );
  });

  it('gets one when they are slow and it was busy from its first second on', () => {
    const slow = { rate: 20, queue: 0, responseMs: 310 };
    const looks = new Looks();
    const busy = shop(slow, [instance('a', { cpu: 0.7 })]);
    looks.at(0, busy);
    expect(looks.at(2000, busy)[0]).toMatchObject({ kind: 'clone', code: 'response' });
    // One that has little to do is just not quick.
    const other = new Looks();
    const idle = shop(slow, [instance('a', { cpu: 0.2 })]);
    other.at(0, idle);
    expect(other.words(2000, idle)).toEqual([]);
  });

  it.each([
    ['when hardly anybody asks', { rate: 2, queue: 0, responseMs: 500 }],
    ['when they are a little slower', { rate: 20, queue: 0, responseMs: 25 }],
  ])('gets none %s', (_, load) => {
    const looks = new Looks();
    usual(looks);
    looks.at(10_000, shop(load, [instance('a')]));
    expect(looks.words(15_000, shop(load, [instance('a')]))).toEqual([]);
  });

  it('gets one when its processors are used up, without any gateway', () => {
    const looks = new Looks();
    looks.at(1000, shop(null, [instance('a', { cpu: 0.95 })]));
    expect(looks.words(3000, shop(null, [instance('a', { cpu: 0.95 })]))).toEqual(['clone shop cpu-full']);
  });
});

describe('a service with little to do', () => {
  const three = ['a', 'b', 'c'].map((name, at) => instance(name, { since: at }));

  it('loses one instance after a calm: it gets no new requests, then sleeps as a spare', () => {
    const looks = new Looks();
    expect(looks.words(1000, shop(CALM, three))).toEqual([]);
    const [drain] = looks.at(31_000, shop(CALM, three));
    expect(drain).toMatchObject({ kind: 'drain', aid: 'c', code: 'calm' });
    const busy = [instance('a'), instance('b'), instance('c', { requestsOpen: 1 })];
    expect(looks.words(33_000, shop(CALM, busy))).toEqual([]);
    expect(looks.words(34_000, shop(CALM, three))).toEqual(['sleep c drained']);
  });

  it('has the next one removed, for one spare is enough', () => {
    const looks = new Looks();
    const applications = [instance('a'), instance('b', { since: 1 }), instance('c', { state: 'asleep' })];
    looks.at(1000, shop(CALM, applications));
    expect(looks.words(31_000, shop(CALM, applications))).toEqual(['drain b calm']);
    expect(looks.words(32_000, shop(CALM, applications))).toEqual(['retire b spare-enough']);
  });

  it('never loses what a user made: it sleeps', () => {
    const looks = new Looks();
    const own = ['a', 'b'].map((name) => instance(name, { made: false }));
    looks.at(1000, shop(CALM, own));
    expect(looks.words(31_000, shop(CALM, own))).toEqual(['drain a calm']);
    expect(looks.words(32_000, shop(CALM, own))).toEqual(['sleep a drained']);
  });

  it('puts one to sleep that still has requests after a minute', () => {
    const looks = new Looks();
    const busy = ['a', 'b'].map((name) => instance(name, { requestsOpen: 1 }));
    looks.at(1000, shop(CALM, busy));
    looks.at(31_000, shop(CALM, busy));
    expect(looks.words(90_000, shop(CALM, busy))).toEqual([]);
    expect(looks.words(91_000, shop(CALM, busy))).toEqual(['sleep b drained-long']);
  });

  it('gets the draining one back when requests wait again', () => {
    const looks = new Looks();
    const busy = three.map((app) => ({ ...app, requestsOpen: 1 }));
    looks.at(1000, shop(CALM, busy));
    expect(looks.words(31_000, shop(CALM, busy))).toEqual(['drain c calm']);
    expect(looks.words(33_000, shop(QUEUE, busy))).toEqual(['undrain c queue']);
  });

  it('keeps its minimum, and loses nobody whose work the others could not do', () => {
    const facts = [
      shop(CALM, three, { min: 3 }),
      shop(
        CALM,
        three.map((app) => ({ ...app, cpu: 0.7 })),
      ),
    ];
    for (const each of facts) {
      const looks = new Looks();
      looks.at(1000, shop({ ...CALM, responseMs: 10 }, three, { min: 3 }));
      for (let now = 2000; now < 120_000; now += 1000) expect(looks.words(now, each)).toEqual([]);
    }
  });
});

describe('how many instances are enough', () => {
  const two = ['a', 'b'].map((name) => instance(name));
  it.each([
    [80, []],
    [50, ['drain b calm']],
  ])('is judged by the rate at which one was overloaded, 90 a second: at %d a second', (rate, expected) => {
    const looks = new Looks();
    looks.at(0, shop(QUEUE, [instance('a')]));
    looks.at(1000, shop({ ...CALM, rate }, two));
    expect(looks.words(31_000, shop({ ...CALM, rate }, two))).toEqual(expected);
  });

  it('takes twice as long to find after one was missed soon after it had gone', () => {
    const looks = new Looks();
    const [a, b] = [instance('a'), instance('b', { state: 'asleep' })];
    looks.at(1000, shop(CALM, two));
    looks.at(31_000, shop(CALM, two));
    expect(looks.words(32_000, shop(CALM, two))).toEqual(['sleep b drained']);
    looks.at(34_000, shop(QUEUE, [a, b]));
    expect(looks.words(36_000, shop(QUEUE, [a, b]))).toEqual(['wake b queue']);
    looks.at(37_000, shop(CALM, two));
    expect(looks.words(68_000, shop(CALM, two))).toEqual([]);
    expect(looks.words(97_000, shop(CALM, two))).toEqual(['drain b calm']);
  });
});

describe('the minimum of a service', () => {
  it('is woken, and made when there are not as many', () => {
    const facts = shop(null, [instance('a', { state: 'asleep' })], { min: 2 });
    const looks = new Looks();
    const found = looks.at(1000, facts);
    expect(found.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
      'wake: 0 instances are awake, and 2 have to be',
      'clone: 0 instances are awake, and 2 have to be',
    ]);
    expect(looks.words(2000, facts)).toEqual([]);
  });

  it('stays awake however idle and whoever wants its room', () => {
    const two = ['a', 'b'].map((name) => instance(name, { sleepAfter: 1000, priority: 1 }));
    const looks = new Looks();
    const wanted = appOf('wanted', { state: 'asleep', priority: 100 });
    const facts = shop(null, two, { min: 1, priority: 1, template: null });
    const found = looks.words(100_000, {
      services: facts.services,
      applications: [...facts.applications, wanted],
      waiting: ['wanted'],
      machine: { availableBytes: 0, reserveBytes: 0 },
    });
    expect(found).toEqual(['sleep a room', 'hold wanted making-room']);
  });

  it('bounds what is made: beyond the maximum the sleeping spares go', () => {
    const applications = [
      instance('a'),
      instance('b', { state: 'asleep' }),
      instance('c', { state: 'asleep' }),
    ];
    expect(new Looks().words(1000, shop(CALM, applications, { max: 2 }))).toEqual(['retire c over-max']);
  });
});
