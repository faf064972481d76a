import { describe, expect, it } from 'vitest';
import { dayOf, readTrace, writeTrace } from '../support/simulation/trace.ts';
import type { Day } from '../support/simulation/trace.ts';

const day: Day = { seed: 7, sites: 100, minutes: 10, visits: 5, exponent: 1, think: 1500 };

describe('a synthetic day', () => {
  const events = dayOf(day);

  it('is the same for the same seed, and another for another', () => {
    expect(dayOf(day)).toEqual(events);
    expect(dayOf({ ...day, seed: 8 })).not.toEqual(events);
  });

  it('is heavy-tailed: the ten most popular sites have half of the visits, and nearly all have some', () => {
    const sites = Map.groupBy(events, ({ site }) => site);
    const top = Array.from({ length: 10 }, (_, site) => sites.get(site)?.length ?? 0);
    const share = top.reduce((sum, count) => sum + count, 0) / events.length;
    expect(share).toBeGreaterThan(0.45);
    expect(share).toBeLessThan(0.7);
    expect(sites.size).toBeGreaterThan(90);
  });

  it('has a night and a noon', () => {
    const hours = Map.groupBy(events, ({ ms }) => Math.floor((ms * 12) / 600_000));
    expect((hours.get(5)?.length ?? 0) / (hours.get(0)?.length ?? 1)).toBeGreaterThan(4);
  });

  it('has a crowd, probes and a storm when asked for', () => {
    const crowd = { site: 60, at: 0.5, ms: 10_000, rate: 50 };
    const busy = dayOf({ ...day, crowd, probes: 5000, storm: { at: 0.2, packets: 3000 } });
    const crowded = busy.filter(({ ms, site }) => site === 60 && ms >= 300_000 && ms < 310_000);
    expect(crowded.length).toBeGreaterThan(400);
    expect(busy.filter(({ kind }) => kind === 'probe')).toHaveLength(100 * 120);
    const storm = busy.filter(({ kind }) => kind === 'scan');
    expect(storm).toHaveLength(3000);
    expect(storm.every(({ ms }) => ms >= 120_000 && ms < 125_000)).toBe(true);
  });
});

describe('a trace', () => {
  it('is written as a line of JSON for each event, and read again', () => {
    const events = dayOf({ ...day, minutes: 1, probes: 5000 });
    const text = writeTrace(events);
    expect(text.split('\n')[0]).toMatch(/^\{"ms":\d+,"site":\d+,"kind":"(request|probe)"\}$/);
    expect(readTrace(text)).toEqual(events);
  });

  it.each([
    '{"ms":1,"site":1,"kind":"other"}',
    '{"ms":1,"site":-1,"kind":"probe"}',
    '{"site":1,"kind":"probe"}',
    '{"ms":5,"site":1,"kind":"probe"}\n{"ms":4,"site":1,"kind":"probe"}',
  ])('is refused with %s', (text) => {
    expect(() => readTrace(text)).toThrow(/is no event in order/);
  });
});
