/** Whole days, on a simulated machine under the real policy. */
import { describe, expect, it } from 'vitest';
import { Machine } from '../support/simulation/machine.ts';
import type { Setup } from '../support/simulation/machine.ts';
import { spread } from '../support/simulation/summary.ts';
import { dayOf } from '../support/simulation/trace.ts';
import type { Day } from '../support/simulation/trace.ts';
import { MB } from '../support/simulation/application.ts';

/** A hundred sites of 40 to 89 MB on a machine with memory for ten. */
const sites = Array.from({ length: 100 }, (_, site) => ({
  name: `site-${site}`,
  megabytes: 40 + ((site * 37) % 50),
  sleepAfter: 10_000,
  freezeAfter: 3000,
}));
const machine: Setup = { cores: 2, megabytes: 740, reserve: 64, programs: sites };
const day: Day = { seed: 1, sites: 100, minutes: 6, visits: 2, exponent: 1, think: 1500 };

describe('a day of a hundred sites with memory for ten', () => {
  const crowd = { site: 40, at: 0.6, ms: 30_000, rate: 40 };
  const events = dayOf({ ...day, crowd, probes: 5000, storm: { at: 0.3, packets: 20_000 } });
  const one = new Machine(machine).replay(events, 30_000);

  it('answers every request, without anything that should not be', () => {
    expect(one.faults).toEqual([]);
    expect(one.answers).toHaveLength(one.asked);
  });

  it('keeps memory below its reserve', () => {
    expect(one.mostBytes).toBeLessThanOrEqual((740 - 64) * MB);
    expect(one.mostBytes).toBeGreaterThan(300 * MB);
  });

  it('lets most wakes begin at once, and none wait for long', () => {
    const waits = spread(one.waits);
    expect(waits.median).toBeLessThan(25);
    expect(waits.p99).toBeLessThan(1000);
    expect(waits.max).toBeLessThan(2000);
  });

  it('ends with everything asleep', () => {
    expect([...one.applications.values()].filter(({ state }) => state !== 'asleep')).toEqual([]);
  });

  it('is the same day again from the same seed', () => {
    const again = new Machine(machine).replay(events, 30_000);
    expect(again.decisions).toEqual(one.decisions);
  });
});

describe('health checkers and a storm of packets', () => {
  const quiet: Day = { ...day, minutes: 2, visits: 0.01, probes: 5000, storm: { at: 0.3, packets: 20_000 } };

  it('wake nobody and keep nobody awake', () => {
    const one = new Machine(machine).replay(dayOf(quiet), 30_000);
    expect(one.count('admit')).toBeLessThanOrEqual(
      dayOf(quiet).filter(({ kind }) => kind === 'request').length,
    );
    expect([...one.applications.values()].every(({ state }) => state === 'asleep')).toBe(true);
  });

  it('would wake everybody for ever if they counted', () => {
    const probes = dayOf({ ...day, minutes: 0.5, visits: 0.01, probes: 5000 });
    const one = new Machine({ ...machine, countsAll: true }).replay(probes, 1000);
    expect(one.count('admit')).toBeGreaterThan(200);
    expect(one.faults).toEqual([]);
    expect(one.mostBytes).toBeLessThanOrEqual((740 - 64) * MB);
  });
});

describe('twenty sleepers that are asked for at the same instant', () => {
  it('on two cores answer within twenty times what one takes', () => {
    const roomy = { ...machine, megabytes: 4000 };
    const single = new Machine(roomy);
    single.at(0, () => single.request('site-0'));
    single.runUntil(5000);
    const many = new Machine(roomy);
    many.at(0, () => sites.slice(0, 20).forEach(({ name }) => many.request(name)));
    many.runUntil(5000);
    expect(many.answers).toHaveLength(20);
    expect(spread(many.answers).p99).toBeLessThan(20 * spread(single.answers).max);
    expect(many.faults).toEqual([]);
  });
});

describe('a wake of high priority while memory is full', () => {
  it('puts the lowest, idle one to sleep, and nobody else', () => {
    const programs = [
      { name: 'high', megabytes: 100, priority: 90 },
      { name: 'low', megabytes: 100, priority: 10, sleepAfter: 600_000 },
      { name: 'middle', megabytes: 100, priority: 50, sleepAfter: 600_000 },
    ];
    const one = new Machine({ cores: 2, megabytes: 240, reserve: 20, programs });
    one.at(0, () => ['middle', 'low'].forEach((name) => one.request(name)));
    one.at(20_000, () => one.request('high'));
    one.runUntil(22_000);
    expect(one.answers).toHaveLength(3);
    expect(one.byName('low').state).toBe('asleep');
    expect(one.byName('middle').state).toBe('running');
    expect(one.faults).toEqual([]);
  });
});

describe('everybody at work, with memory for half', () => {
  it('changes places no more often than the processors bear, and answers all', () => {
    const programs = sites.slice(0, 20).map((site) => ({ ...site, megabytes: 64 }));
    const one = new Machine({ ...machine, programs });
    for (let ms = 0; ms < 60_000; ms += 400)
      one.at(ms, () => programs.forEach(({ name }) => one.request(name)));
    one.runUntil(90_000);
    expect(one.answers).toHaveLength(one.asked);
    expect(one.faults).toEqual([]);
    // A place is kept for 500 ms at least; ten have one.
    expect(one.count('sleep')).toBeLessThan((90 / 0.5) * 10);
    expect(one.mostBytes).toBeLessThanOrEqual((740 - 64) * MB);
  });
});

describe('a service that is overloaded', () => {
  const shop = { name: 'shop', megabytes: 50, requestMs: 10, sleepAfter: 120_000 };
  const setup: Setup = {
    cores: 8,
    megabytes: 2000,
    reserve: 100,
    programs: [shop],
    services: [{ name: 'shop', min: 1, max: 6, template: shop, concurrency: 4 }],
  };
  const ask = (one: Machine, from: number, to: number, rate: number): void => {
    for (let ms = from; ms < to; ms += 1000 / rate) one.at(ms, () => one.request('shop'));
  };

  it('gets instances until responses are quick again, and loses them after the rush', () => {
    const one = new Machine(setup);
    ask(one, 0, 10_000, 20);
    ask(one, 10_000, 70_000, 300);
    one.runUntil(40_000);
    const before = one.answers.length;
    one.runUntil(70_000);
    expect(spread(one.answers.slice(before)).median).toBeLessThan(30);
    expect(one.awake('shop').length).toBeGreaterThanOrEqual(4);
    ask(one, 70_000, 300_000, 5);
    one.runUntil(300_000);
    expect(one.awake('shop')).toHaveLength(1);
    expect(one.instances('shop').length).toBeLessThanOrEqual(2);
    expect(one.answers).toHaveLength(one.asked);
    expect(one.faults).toEqual([]);
  });

  it('does not flap when the load goes up and down around what one instance bears', () => {
    const one = new Machine(setup);
    for (let ms = 0; ms < 1_200_000; ms += 20_000) {
      ask(one, ms, ms + 10_000, 120);
      ask(one, ms + 10_000, ms + 20_000, 60);
    }
    one.runUntil(1_200_000);
    const ups = one.count('clone') + one.count('wake');
    expect(ups).toBeGreaterThanOrEqual(1);
    expect(ups).toBeLessThanOrEqual(12);
    expect(one.faults).toEqual([]);
  });
});

describe('work that nobody asked for', () => {
  it('gives way to requests of higher priority, and goes on after them', () => {
    const batch = (name: string) => ({ name, megabytes: 50, priority: 10, sleepAfter: null, computes: true });
    const shop = { name: 'shop', megabytes: 50, requestMs: 8, priority: 60 };
    const programs = [shop, batch('batch-1'), batch('batch-2'), batch('batch-3')];
    const one = new Machine({ cores: 2, megabytes: 1000, reserve: 50, programs, tellsPressure: true });
    one.at(0, () => ['batch-1', 'batch-2', 'batch-3'].forEach((name) => one.request(name)));
    for (let ms = 5000; ms < 60_000; ms += 10) one.at(ms, () => one.request('shop'));
    one.runUntil(120_000);
    expect(one.count('freeze', 'cpu-short')).toBeGreaterThanOrEqual(1);
    expect(one.count('freeze', 'cpu-short')).toBeLessThanOrEqual(120_000 / 5000);
    expect(one.count('thaw')).toBeGreaterThanOrEqual(1);
    expect(one.faults).toEqual([]);
    expect(one.answers).toHaveLength(one.asked);
  });
});
