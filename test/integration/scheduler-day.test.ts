/** A short day of twenty web sites with memory for four: every request is answered rightly, and memory stays within its limit. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { dayTable, liveDay, prepareStreet } from '../support/live-day.ts';
import { dayOf } from '../support/simulation/trace.ts';

const SITES = 20;
const ROOM = 4;

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

test('a day of twenty sites with memory for four', async () => {
  const street = await prepareStreet(lab, SITES, ROOM);
  const day = { seed: 7, sites: SITES, minutes: 0.4, visits: 2, exponent: 1, think: 1000 };
  const crowd = { site: 9, at: 0.5, ms: 3000, rate: 20 };
  const seen = await liveDay(lab, street, dayOf({ ...day, crowd }));
  // Beside a failure it tells what the day was like.
  process.stdout.write(
    `${dayTable(seen, street)
      .map((row) => row.join(': '))
      .join('\n')}\n`,
  );
  expect(seen.failures).toEqual([]);
  expect(seen.lost).toBe(0);
  expect(seen.visits.length).toBeGreaterThan(100);
  expect(seen.wakes).toBeGreaterThan(SITES / 2);
  expect(seen.mostMemory).toBeGreaterThan(0);
  expect(seen.mostMemory).toBeLessThanOrEqual(street.limit);
  // Somebody had to go so that somebody else could come: idle times alone are too long for this day.
  const made = [...seen.decisions.keys()].filter((code) => code.startsWith('sleep '));
  expect(made).toContainEqual(expect.stringMatching(/^sleep (room|memory-ready)$/));
});
