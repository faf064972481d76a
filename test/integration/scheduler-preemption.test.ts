/** Memory is full, and somebody of high priority is asked for: the least important idle one sleeps, and nobody loses anything. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { Journal, isDecision } from '../support/journal.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { atItsAddress, closeSite, openSite } from '../support/websites.ts';
import type { Website } from '../support/websites.ts';

/** Of each site: so much that what else it has is little beside it. */
const MEGABYTES = 64;
/** Memory for two of them, and not for three. */
const ROOM = 2.6;
const VISITS = 5;

let lab: Lab;
let client: Client;

beforeAll(async () => {
  lab = await createLab();
  client = new Client(lab.runDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const open = (name: string, priority: number): Promise<Website> =>
  openSite(
    lab,
    client,
    { name, megabytes: MEGABYTES },
    { sites: [], idle: 600, policy: { priority, ignore: [] } },
  );

const visit = async (...sites: Website[]): Promise<void> => {
  for (const site of sites) for (let time = 0; time < VISITS; time += 1) await site.visit(atItsAddress(lab));
};

const memoryOf = async ({ aid }: Website): Promise<number> =>
  (await client.top()).find((row) => row.aid === aid)?.memory ?? 0;

/** Frozen ones, too, have all their memory: somebody may be so where processors are short. */
const inMemory = async (...sites: Website[]): Promise<boolean[]> =>
  await Promise.all(
    sites.map(async ({ aid }) => ['running', 'frozen'].includes((await client.inspect(aid)).state)),
  );

test('the application of lowest priority sleeps for one of high priority; both keep what they had', async () => {
  const first = await lab.daemon();
  const high = await open('high', 90);
  await visit(high);
  const limit = Math.round((await memoryOf(high)) * ROOM);
  await closeSite(client, high);
  await first.stop();
  await lab.daemon({ args: ['--memory', String(limit)] });
  const [low, middle] = [await open('low', 10), await open('middle', 50)];
  // The least important was busy last: it goes all the same.
  await visit(middle, low);
  expect(await inMemory(high, middle, low)).toEqual([false, true, true]);
  await using journal = await Journal.open(client);

  await visit(high);

  const decided = await journal.until(isDecision('sleep', 'room'), 10_000);
  expect(decided).toMatchObject({ name: 'low', reason: expect.stringContaining('high (priority 90) needs') });
  expect(await inMemory(high, middle, low)).toEqual([true, true, false]);
  expect(journal.decisions.filter(({ kind }) => kind === 'sleep')).toHaveLength(1);
  // Each visit reads what the one before has left in memory.
  await visit(high, middle);
  await closeSite(client, high);
  await visit(low, middle, high);
});
