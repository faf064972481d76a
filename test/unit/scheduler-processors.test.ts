import { describe, expect, it } from 'vitest';
import { appOf, Looks } from '../support/simulation/view.ts';

const busy = (cpuSome: number) => ({ pressure: { memorySome: 0, memoryFull: 0, cpuSome } });
const batch = (name: string, facts = {}) =>
  appOf(name, { priority: 10, cpu: 0.9, sleepAfter: null, ...facts });
const asked = appOf('shop', { priority: 60, requestsOpen: 1 });

describe('processors that are short', () => {
  it('are freed by whoever computes unasked, of the lowest priority', () => {
    const looks = new Looks();
    const applications = [batch('b', { priority: 20 }), batch('a'), asked];
    const [freeze, ...more] = looks.at(10_000, { applications, machine: busy(70) });
    expect(freeze).toMatchObject({ kind: 'freeze', aid: 'a', code: 'cpu-short' });
    expect(freeze?.reason).toBe(
      'somebody waited for a processor 70 % of the last ten seconds; this one uses 0.9 cores without a request, at priority 10, ' +
        'and shop (priority 60) has requests',
    );
    expect(more).toEqual([]);
    const frozen = [batch('b', { priority: 20 }), batch('a', { state: 'frozen', cpu: 0 }), asked];
    expect(looks.words(11_000, { applications: frozen, machine: busy(70) })).toEqual([]);
    expect(looks.words(13_000, { applications: frozen, machine: busy(70) })).toEqual(['freeze b cpu-short']);
  });

  it.each([
    ['while nobody is asked', [batch('a'), appOf('shop')], 70],
    ['for somebody of lower priority', [batch('a', { priority: 70 }), asked], 70],
    ['while they are not that short', [batch('a'), asked], 40],
    ['who was asked a moment ago', [batch('a', { askedAt: 6000 }), asked], 70],
    ['who answers a request', [batch('a', { requestsOpen: 1 }), asked], 70],
  ])('freeze nobody %s', (_, applications, some) => {
    expect(new Looks().words(10_000, { applications, machine: busy(some) })).toEqual([]);
  });

  it('are seen without the kernel’s account too', () => {
    const applications = [batch('a', { cpu: 1 }), { ...asked, cpu: 0.95 }];
    expect(new Looks().words(10_000, { applications })).toEqual(['freeze a cpu-short']);
  });

  const frozen = (): Looks => {
    const looks = new Looks();
    looks.at(10_000, {
      applications: [batch('a', { sleepAfter: 20_000, activeAt: 10_000 }), asked],
      machine: busy(70),
    });
    return looks;
  };
  const still = batch('a', { state: 'frozen', cpu: 0, sleepAfter: 20_000, activeAt: 10_000 });

  it('let it go on when they are free again, and it does not count as idle meanwhile', () => {
    const looks = frozen();
    expect(looks.words(12_000, { applications: [still, asked], machine: busy(0) })).toEqual([]);
    expect(looks.words(45_000, { applications: [still, asked], machine: busy(70) })).toEqual([]);
    expect(looks.words(46_000, { applications: [still, asked], machine: busy(10) })).toEqual([
      'thaw a cpu-calm',
    ]);
    const running = { ...still, state: 'running' as const };
    expect(looks.words(46_500, { applications: [running, asked], machine: busy(10) })).toEqual([]);
  });

  it('let it have its turn after a minute, however short they are', () => {
    const looks = frozen();
    expect(looks.words(70_000, { applications: [still, asked], machine: busy(70) })).toEqual([
      'thaw a cpu-turn',
    ]);
    const running = { ...still, state: 'running' as const, cpu: 0.9 };
    expect(looks.words(80_000, { applications: [running, asked], machine: busy(70) })).toEqual([]);
    expect(looks.words(86_000, { applications: [running, asked], machine: busy(70) })).toEqual([
      'freeze a cpu-short',
    ]);
  });
});
