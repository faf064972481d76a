/**
 * Memory torture through real sleeps and wakes, the short one: programs that know what must be in their memory are put to sleep, woken in
 * every mode, rewound and forked (test/support/torture.ts). `npm run torture` is the long one. Root and gcc are needed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { compileTorture, newTally, torture } from '../support/torture.ts';
import type { Tally } from '../support/torture.ts';

const LASTS_MS = 5000;
const random = Math.floor(Math.random() * 1e9);

let lab: Lab;
let program: string;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  program = await compileTorture(lab);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const everyWay = ({ wakes }: Tally): boolean => Object.values(wakes).every((count) => count > 0);

test.each([1, random])('seed %d: memory is what it was, by layer, lazy and by copy', async (seed) => {
  const tally = newTally();
  const end = performance.now() + LASTS_MS;
  const goesOn = (): boolean => performance.now() < end || !everyWay(tally);
  await Promise.all([
    torture(lab, program, { seed, threads: 1, megabytes: 8, pace: 600 }, tally, goesOn),
    torture(lab, program, { seed: seed + 1, threads: 4, megabytes: 16, pace: 250 }, tally, goesOn),
  ]);
  expect(tally.operations).toBeGreaterThan(0);
  expect(tally.sleeps).toBeGreaterThan(0);
  expect(tally.layers.size).toBeGreaterThan(0);
});
