/** What holds whatever happens: for arbitrary machines and traffic, and for arbitrary views and memories. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CODES, decide, NOTHING } from '../../src/scheduler/policy/index.ts';
import type { Application, Decision, Memory, Standing, View } from '../../src/scheduler/policy/index.ts';
import { MB } from '../support/simulation/application.ts';
import type { Program } from '../support/simulation/application.ts';
import { Machine } from '../support/simulation/machine.ts';
import type { Setup } from '../support/simulation/machine.ts';
import { appOf, serviceOf, viewOf } from '../support/simulation/view.ts';

const SECONDS = 60;

const programs = fc.array(
  fc.record({
    megabytes: fc.integer({ min: 5, max: 120 }),
    priority: fc.constantFrom(10, 50, 50, 90),
    sleepAfter: fc.constantFrom(500, 3000, 20_000, null),
    freezeAfter: fc.constantFrom(null, 300, 1000),
    requestMs: fc.integer({ min: 1, max: 80 }),
  }),
  { minLength: 1, maxLength: 12 },
);
const requests = fc.array(
  fc.record({
    ms: fc.integer({ min: 0, max: SECONDS * 1000 }),
    who: fc.nat(11),
    count: fc.integer({ min: 1, max: 5 }),
  }),
  { maxLength: 80 },
);
const setups = fc.record({
  cores: fc.integer({ min: 1, max: 4 }),
  megabytes: fc.integer({ min: 150, max: 600 }),
  reserve: fc.integer({ min: 0, max: 40 }),
  tellsPressure: fc.boolean(),
  min: fc.integer({ min: 0, max: 2 }),
  max: fc.integer({ min: 2, max: 5 }),
  programs,
  requests,
});

interface Given extends Omit<Setup, 'programs'> {
  readonly min: number;
  readonly max: number;
  readonly programs: readonly Omit<Program, 'name'>[];
  readonly requests: readonly { readonly ms: number; readonly who: number; readonly count: number }[];
}

/** A machine whose first program is a service with instances, after its day. */
const lived = (given: Given): Machine => {
  const named = given.programs.map((program, at) => ({ ...program, name: `app-${at}` }));
  const template = { ...named[0]!, sleepAfter: 5000 };
  const one = new Machine({
    ...given,
    programs: [template, ...named.slice(1)],
    services: [{ name: 'app-0', min: given.min, max: given.max, template, concurrency: 2 }],
  });
  for (const { ms, who, count } of given.requests)
    for (let each = 0; each < count; each += 1)
      one.at(ms + each * 50, () => one.request(`app-${who % named.length}`));
  return one.runUntil(SECONDS * 1000);
};

/** Milliseconds, on a machine that does other things too. */
const LONG = { timeout: 120_000 };

describe('on every machine', LONG, () => {
  it('nothing happens that should not', () => {
    fc.assert(
      fc.property(setups, (given) => {
        const one = lived(given);
        // Wrong states, higher priorities that gave way, minima that were not kept, reasons without figures.
        expect(one.faults).toEqual([]);
        expect(one.mostBytes).toBeLessThanOrEqual((given.megabytes - given.reserve) * MB + 1);
        expect(one.instances('app-0').length).toBeLessThanOrEqual(Math.max(given.max, 1));
      }),
      { numRuns: 200 },
    );
  });

  it('every request is answered in the end, when each application fits by itself', () => {
    fc.assert(
      fc.property(setups, (given) => {
        const roomy = given.programs.map((program) => ({ ...program, sleepAfter: 3000, priority: 50 }));
        const one = lived({ ...given, programs: roomy, min: 0, megabytes: 200, reserve: 40 });
        one.runUntil((SECONDS + 120) * 1000);
        expect(one.answers).toHaveLength(one.asked);
      }),
      { numRuns: 100 },
    );
  });

  it('nobody changes state more often than the stays and the idle times let', () => {
    fc.assert(
      fc.property(setups, (given) => {
        const one = lived({ ...given, requests: [] });
        const busy = {
          ...given,
          requests: Array.from({ length: 300 }, (_, at) => ({ ms: at * 200, who: at, count: 1 })),
        };
        expect(one.decisions.length).toBeLessThan(20);
        // A cycle takes an idle time or a stay, half a second or more (a quarter for a lower priority), and a sleep.
        for (const { transitions } of lived(busy).applications.values())
          expect(transitions).toBeLessThanOrEqual((2 * SECONDS) / 0.25);
      }),
      { numRuns: 40 },
    );
  });
});

const STANDINGS: readonly Standing[] = [
  'running',
  'frozen',
  'asleep',
  'starting',
  'waking',
  'sleeping',
  'other',
];

const applications = fc
  .array(
    fc.record({
      state: fc.constantFrom(...STANDINGS),
      since: fc.integer({ min: 0, max: 100_000 }),
      priority: fc.integer({ min: 0, max: 100 }),
      freezeAfter: fc.option(fc.integer({ min: 100, max: 50_000 })),
      sleepAfter: fc.option(fc.integer({ min: 100, max: 50_000 })),
      memoryBytes: fc.integer({ min: 0, max: 300 * MB }),
      expectedBytes: fc.integer({ min: 0, max: 300 * MB }),
      cpu: fc.double({ min: 0, max: 4, noNaN: true }),
      requestsOpen: fc.constantFrom(0, 0, 0, 3),
      activeAt: fc.integer({ min: 0, max: 100_000 }),
      blockedUntil: fc.constantFrom(0, 0, 0, 200_000),
      made: fc.boolean(),
      service: fc.constantFrom('one', 'two', 'three', 'four'),
    }),
    { maxLength: 14 },
  )
  .map((all) => all.map((facts, at) => appOf(`app-${at}`, facts)));

const loads = fc.option(
  fc.record({
    rate: fc.double({ min: 0, max: 1000, noNaN: true }),
    queue: fc.constantFrom(0, 0, 1, 100),
    responseMs: fc.option(fc.double({ min: 0.1, max: 5000, noNaN: true })),
  }),
);

const views = fc
  .record({
    apps: applications,
    loads: fc.array(loads, { minLength: 4, maxLength: 4 }),
    bounds: fc.array(fc.tuple(fc.nat(3), fc.nat(8)), { minLength: 4, maxLength: 4 }),
    availableBytes: fc.integer({ min: 0, max: 1000 * MB }),
    pressure: fc.option(
      fc.record({
        memorySome: fc.integer({ min: 0, max: 100 }),
        memoryFull: fc.integer({ min: 0, max: 100 }),
        cpuSome: fc.integer({ min: 0, max: 100 }),
      }),
    ),
    waiting: fc.array(fc.tuple(fc.nat(13), fc.integer({ min: 0, max: 100_000 })), { maxLength: 8 }),
  })
  .map(({ apps, loads: each, bounds, availableBytes, pressure, waiting }): View => {
    const services = ['one', 'two', 'three', 'four'].map((name, at) => {
      const instances = apps.filter(({ service }) => service === name).map(({ aid }) => aid);
      const [min = 0, more = 0] = bounds[at] ?? [];
      return serviceOf(name, { instances, min, max: Math.max(1, min) + more, load: each[at] ?? null });
    });
    const waits = waiting.map(([who, since]) => ({ aid: `app-${who}`, since }));
    return viewOf(100_000, {
      applications: apps,
      services,
      waiting: waits,
      machine: { availableBytes, pressure },
    });
  });

/** What may be decided about an application in a state. */
const FROM: Record<Decision['kind'], readonly Standing[]> = {
  freeze: ['running'],
  thaw: ['frozen'],
  sleep: ['running', 'frozen'],
  wake: ['asleep'],
  admit: ['asleep'],
  hold: ['asleep'],
  drain: ['running', 'frozen'],
  undrain: ['running', 'frozen', 'waking', 'starting'],
  retire: ['running', 'frozen', 'asleep'],
  clone: [],
};

const expectSound = (view: View, decisions: readonly Decision[]): void => {
  const acted = decisions.filter(({ kind, aid }) => aid !== null && kind !== 'hold');
  expect(new Set(acted.map(({ aid }) => aid)).size).toBe(acted.length);
  for (const { kind, aid, code, reason, because } of decisions) {
    expect(CODES).toContain(code);
    expect(reason).toMatch(/\d/);
    expect(reason).not.toMatch(/NaN|undefined|Infinity|\n/);
    expect(Object.values(because).every((value) => typeof value === 'string' || Number.isFinite(value))).toBe(
      true,
    );
    if (aid === null) continue;
    const app = view.applications.get(aid) as Application;
    expect(FROM[kind], `${kind} of one that is ${app.state}`).toContain(app.state);
    if (!['hold', 'undrain'].includes(kind)) expect(app.blockedUntil).toBeLessThanOrEqual(view.now);
    if (kind === 'retire') expect(app.made && app.requestsOpen === 0).toBe(true);
  }
  for (const service of view.services.values()) expectMinimum(view, service.name, decisions);
};

/** No more instances are put to sleep than the minimum lets, and no more made than the maximum. */
const expectMinimum = (view: View, name: string, decisions: readonly Decision[]): void => {
  const service = view.services.get(name)!;
  const ended = decisions.filter(
    ({ kind, aid, code }) =>
      (kind === 'sleep' || kind === 'retire') &&
      !code.startsWith('drained') &&
      service.instances.includes(aid ?? '') &&
      view.applications.get(aid ?? '')?.state !== 'asleep',
  );
  const awake = service.instances.filter((aid) =>
    ['running', 'frozen'].includes(view.applications.get(aid)?.state ?? ''),
  );
  if (ended.length > 0)
    expect(awake.length - ended.length).toBeGreaterThanOrEqual(Math.min(service.min, awake.length));
  const clones = decisions.filter((one) => one.kind === 'clone' && one.service === name).length;
  if (clones > 0) expect(service.instances.length + clones).toBeLessThanOrEqual(service.max);
};

describe('of every view', LONG, () => {
  it('decisions are sound, few, and the same again, and what was given is not changed', () => {
    fc.assert(
      fc.property(fc.array(views, { minLength: 1, maxLength: 4 }), (looks) => {
        let memory: Memory = NOTHING;
        looks.forEach((look, at) => {
          const view = { ...look, now: look.now + at * 7000 };
          const before = structuredClone(memory);
          const outcome = decide(memory, view);
          expect(memory).toEqual(before);
          expect(decide(memory, view)).toEqual(outcome);
          expectSound(view, outcome.decisions);
          expect(outcome.next).toBeGreaterThanOrEqual(20);
          expect(outcome.next).toBeLessThanOrEqual(60_000);
          memory = outcome.memory;
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('the same view a second time leads to no second decision about anybody', () => {
    fc.assert(
      fc.property(views, (view) => {
        const first = decide(NOTHING, view);
        const acted = new Set(first.decisions.filter(({ kind }) => kind !== 'hold').map(({ aid }) => aid));
        const second = decide(first.memory, { ...view, now: view.now + 50 });
        const again = second.decisions.filter(
          ({ aid, kind }) => aid !== null && acted.has(aid) && kind !== 'drain' && kind !== 'undrain',
        );
        expect(again).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('whoever is put to sleep for another has a lower priority, or the same and nothing to do', () => {
    fc.assert(
      fc.property(views, (view) => {
        const pushed = decide(NOTHING, view).decisions.filter(({ code }) => code === 'room');
        const wrong = pushed.filter(({ aid, because }) => {
          const app = view.applications.get(aid ?? '')!;
          const lead = Number(because['forPriority']) - app.priority;
          return lead < 0 || (lead === 0 && app.requestsOpen > 0);
        });
        expect(wrong).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});
