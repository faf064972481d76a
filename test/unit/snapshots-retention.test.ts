import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseVictims } from '../../src/snapshots/index.ts';
import type { RetainedSnapshot } from '../../src/snapshots/index.ts';

const snapshot = (id: string, takenAt: number, more: Partial<RetainedSnapshot> = {}): RetainedSnapshot => ({
  id,
  aid: 'web',
  takenAt,
  bytes: 10,
  pinned: false,
  latest: false,
  automatic: true,
  ...more,
});
const history = [
  snapshot('a', 1),
  snapshot('b', 2, { automatic: false }),
  snapshot('c', 3),
  snapshot('d', 4, { latest: true }),
];

describe('chooseVictims', () => {
  it('chooses none without a rule', () => {
    expect(chooseVictims(history, { now: 1e15 })).toEqual([]);
  });

  it('keeps the newest automatic ones of each application', () => {
    const other = snapshot('o', 0, { aid: 'other' });
    expect(chooseVictims([...history, other], { keep: 1, now: 5 })).toEqual(['a', 'c']);
    expect(chooseVictims(history, { keep: 2, now: 5 })).toEqual(['a']);
    expect(chooseVictims(history, { keep: 0, now: 5 })).toEqual(['a', 'c']);
  });

  it('takes old ones, whoever made them', () => {
    expect(chooseVictims(history, { ttlMs: 2, now: 5 })).toEqual(['a', 'b']);
  });

  it('takes the oldest until the rest fits', () => {
    expect(chooseVictims(history, { quotaBytes: 40, now: 5 })).toEqual([]);
    expect(chooseVictims(history, { quotaBytes: 39, now: 5 })).toEqual(['a']);
    expect(chooseVictims(history, { quotaBytes: 0, now: 5 })).toEqual(['a', 'b', 'c']);
    expect(chooseVictims(history, { quotaBytes: 25, keep: 2, now: 5 })).toEqual(['a', 'b']);
  });

  it('leaves what frees nothing', () => {
    const [first, ...rest] = history;
    const free = { ...first, bytes: 0 } as RetainedSnapshot;
    expect(chooseVictims([free, ...rest], { quotaBytes: 20, now: 5 })).toEqual(['b']);
  });

  const snapshots = fc.uniqueArray(
    fc.record({
      id: fc.string({ minLength: 1, maxLength: 3 }),
      aid: fc.constantFrom('a', 'b'),
      takenAt: fc.nat(20),
      bytes: fc.nat(5),
      pinned: fc.boolean(),
      latest: fc.boolean(),
      automatic: fc.boolean(),
    }),
    { selector: ({ id }) => id, maxLength: 20 },
  );
  const limit = (max: number) => fc.option(fc.nat(max), { nil: undefined });
  const policies = fc.record({ keep: limit(5), ttlMs: limit(20), quotaBytes: limit(60), now: fc.nat(30) });

  it('never takes the latest or a pinned one, and is done after one go', () => {
    fc.assert(
      fc.property(snapshots, policies, (all, policy) => {
        const victims = new Set(chooseVictims(all, policy));
        const left = all.filter(({ id }) => !victims.has(id));
        expect(all.filter(({ id, latest, pinned }) => victims.has(id) && (latest || pinned))).toEqual([]);
        expect(chooseVictims(left, policy)).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('leaves what keeps to every rule, or may not go', () => {
    fc.assert(
      fc.property(snapshots, policies, (all, policy) => {
        const victims = new Set(chooseVictims(all, policy));
        const left = all.filter(({ id }) => !victims.has(id));
        const free = left.filter(({ latest, pinned }) => !latest && !pinned);
        const { keep = Infinity, ttlMs = Infinity, quotaBytes = Infinity, now } = policy;
        for (const aid of ['a', 'b'])
          expect(free.filter((one) => one.aid === aid && one.automatic).length).toBeLessThanOrEqual(keep);
        for (const { takenAt } of free) expect(now - takenAt).toBeLessThanOrEqual(ttlMs);
        const used = left.reduce((sum, { bytes }) => sum + bytes, 0);
        expect(used <= quotaBytes || free.every(({ bytes }) => bytes === 0)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('does not depend on the order given', () => {
    fc.assert(
      fc.property(snapshots, policies, (all, policy) => {
        expect(chooseVictims(all.toReversed(), policy)).toEqual(chooseVictims(all, policy));
      }),
    );
  });
});
