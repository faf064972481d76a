/** A web site gets more requests than one instance can answer: another is made, responses get quicker, and it goes after the rush. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { Journal, isDecision } from '../support/journal.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { instancesAwake, openShop, rush } from '../support/rush.ts';
import { GATEWAY } from '../support/websites.ts';

const ROUND_SECONDS = 2;
/** The rush ends when there are two, or after so many rounds. */
const MOST_ROUNDS = 15;
/** A service has to be calm for half a minute before an instance goes. */
const GONE_WITHIN_MS = 90_000;

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon({ args: GATEWAY.args });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

test('an instance more while it is overloaded, and one less after that', async () => {
  await openShop(lab, 2);
  await using journal = await Journal.open(new Client(lab.runDirectory));
  const alone = await rush(lab, 1);
  const rounds = [alone];
  while ((await instancesAwake(lab)) < 2 && rounds.length < MOST_ROUNDS)
    rounds.push(await rush(lab, ROUND_SECONDS));
  const together = await rush(lab, ROUND_SECONDS);
  expect(together.instances).toEqual([2, 2]);
  expect(journal.decisions).toContainEqual(expect.objectContaining({ kind: 'clone' }));
  expect(together.median).toBeLessThan(alone.median * 0.8);
  expect(together.rate).toBeGreaterThan(alone.rate * 1.2);

  await journal.until(isDecision('drain', 'calm'), GONE_WITHIN_MS);
  await journal.until(isDecision('sleep', 'drained'), GONE_WITHIN_MS);
  await journal.until(({ type }) => type === 'asleep', GONE_WITHIN_MS);
  expect(await instancesAwake(lab)).toBe(1);
  const after = await rush(lab, 1);
  expect([...rounds, together, after].map(({ errors }) => errors)).toEqual(
    [...rounds, together, after].map(() => 0),
  );
});
