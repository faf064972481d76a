import { describe, expect, it } from 'vitest';
import { appOf, Looks, viewOf } from '../support/simulation/view.ts';
import { decide, NOTHING } from '../../src/scheduler/policy/index.ts';

describe('an idle application', () => {
  const idle = appOf('a', { freezeAfter: 3000, sleepAfter: 10_000 });

  it('is left alone until its time has come, and looked at again then', () => {
    const looks = new Looks();
    expect(looks.words(2000, { applications: [idle] })).toEqual([]);
    expect(looks.next).toBe(1000);
  });

  it('is frozen first, and then put to sleep, with the figures that led to it', () => {
    const looks = new Looks();
    const [freeze] = looks.at(3000, { applications: [idle] });
    expect(freeze).toMatchObject({ kind: 'freeze', aid: 'a', because: { idle: 3000, limit: 3000 } });
    expect(freeze?.reason).toBe('idle for 3s; it is frozen after 3s');
    const frozen = { ...idle, state: 'frozen' as const };
    expect(looks.words(4000, { applications: [frozen] })).toEqual([]);
    const [sleep] = looks.at(10_500, { applications: [frozen] });
    expect(sleep).toMatchObject({ kind: 'sleep', aid: 'a', code: 'idle' });
    expect(sleep?.reason).toBe('idle for 10.5s; it sleeps after 10s');
  });

  it('sleeps without having been frozen, when that is all its policy has', () => {
    const app = appOf('a', { sleepAfter: 10_000 });
    expect(new Looks().words(10_000, { applications: [app] })).toEqual(['sleep a idle']);
  });

  it.each([
    ['without an idle time', { sleepAfter: null }],
    ['with an open request', { requestsOpen: 1 }],
    ['that a user has just woken', { blockedUntil: 90_000 }],
    ['that is being saved', { state: 'other' as const }],
    ['that falls asleep already', { state: 'sleeping' as const }],
  ])('stays as it is %s', (_, facts) => {
    expect(new Looks().words(60_000, { applications: [appOf('a', facts)] })).toEqual([]);
  });

  it('goes on when it is frozen and has a request', () => {
    const app = appOf('a', { state: 'frozen', requestsOpen: 1 });
    expect(new Looks().words(60_000, { applications: [app] })).toEqual(['thaw a requests']);
  });

  it('is not decided about twice, until the decision shows or is lost', () => {
    const looks = new Looks();
    const app = appOf('a', { sleepAfter: 10_000 });
    expect(looks.words(10_000, { applications: [app] })).toEqual(['sleep a idle']);
    expect(looks.words(10_100, { applications: [app] })).toEqual([]);
    expect(looks.words(20_000, { applications: [app] })).toEqual(['sleep a idle']);
  });

  it('is one of several that sleep at the same time: as many as there are cores', () => {
    const applications = ['a', 'b', 'c', 'd'].map((name, at) => appOf(name, { activeAt: 4 - at }));
    const looks = new Looks();
    expect(looks.words(40_000, { applications })).toEqual(['sleep d idle', 'sleep c idle']);
    expect(looks.words(40_100, { applications })).toEqual([]);
  });
});

/** Puts one to sleep after its idle time, again and again, and wakes it so many milliseconds after each sleep. */
const sleeps = (looks: Looks, wokenAfter: number, end: number): number[] => {
  const at: number[] = [];
  let app = appOf('a', { sleepAfter: 10_000 });
  let wakes = Infinity;
  for (let now = 0; now < end; now += 500) {
    if (now >= wakes) {
      app = { ...app, state: 'running', since: now, activeAt: now, memoryBytes: app.expectedBytes };
      wakes = Infinity;
    }
    if (looks.words(now, { applications: [app] }).length === 0) continue;
    at.push(now);
    app = { ...app, state: 'asleep', since: now, memoryBytes: 0 };
    wakes = now + wokenAfter;
  }
  return at;
};

describe('an idle time', () => {
  it('doubles, eight times at most, for whoever is woken again soon', () => {
    const at = sleeps(new Looks(), 1000, 600_000);
    const times = at.slice(1).map((one, before) => one - (at[before] ?? 0) - 1000);
    expect(times.slice(0, 4)).toEqual([20_000, 40_000, 80_000, 80_000]);
    expect(at.length).toBeLessThanOrEqual(3 + 600_000 / 81_000 + 1);
  });

  it('stays for whoever sleeps longer than it had been idle', () => {
    const at = sleeps(new Looks(), 20_000, 300_000);
    expect(at.slice(1).every((one, before) => one - (at[before] ?? 0) === 30_000)).toBe(true);
  });

  it('halves again after a long sleep', () => {
    const looks = new Looks();
    sleeps(looks, 1000, 200_000);
    expect(looks.memory.notes.get('a')?.patience).toBe(8);
    const at = sleeps(looks, 400_000, 5_000_000);
    const times = at.slice(1).map((one, before) => one - (at[before] ?? 0) - 400_000);
    expect(times.at(-1)).toBe(10_000);
  });
});

describe('memory of the past', () => {
  it('is empty for applications that nothing happens to, and the same object then', () => {
    const applications = ['a', 'b'].map((name) => appOf(name));
    const { memory } = decide(NOTHING, viewOf(1000, { applications }));
    expect(memory.notes).toBe(NOTHING.notes);
  });

  it('ends with the application', () => {
    const looks = new Looks();
    looks.at(40_000, { applications: [appOf('a')] });
    expect([...looks.memory.notes.keys()]).toEqual(['a']);
    looks.at(41_000, {});
    expect(looks.memory.notes.size).toBe(0);
  });

  it('is not changed by a look', () => {
    const looks = new Looks();
    looks.at(40_000, { applications: [appOf('a')] });
    const { memory } = looks;
    const copy = structuredClone(memory);
    const applications = [appOf('a', { state: 'asleep', since: 40_100 })];
    const first = decide(memory, viewOf(50_000, { applications, waiting: ['a'] }));
    expect(first.decisions).toHaveLength(1);
    expect(memory).toEqual(copy);
    expect(decide(memory, viewOf(50_000, { applications, waiting: ['a'] }))).toEqual(first);
  });
});
