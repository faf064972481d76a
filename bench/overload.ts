/**
 * One web site that gets more requests than an instance of it can answer: how long until there are more instances, what that does to
 * responses, and how long until they have gone after the rush. The client must see no error.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Journal } from '../test/support/journal.ts';
import { instancesAwake, instancesMade, openShop, rush } from '../test/support/rush.ts';
import type { RushRound } from '../test/support/rush.ts';
import { GATEWAY } from '../test/support/websites.ts';
import type { Bench, Part } from './bench.ts';
import { figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { table } from './table.ts';

const MAX = 4;
const ROUND_SECONDS = 3;
const ROUNDS = 12;
/** At the end of the rush these count. */
const LAST_ROUNDS = 3;
const LOOK_MS = 500;
const GONE_WITHIN_MS = 300_000;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(0)} s`;

/** Rounds until the rush has lasted; prints each. */
const rushHour = async ({ lab }: Bench, began: number): Promise<RushRound[]> => {
  const rounds: RushRound[] = [];
  const rows: string[][] = [['after', 'instances', 'requests/s', 'median', 'p99', 'errors']];
  for (let round = 0; round < ROUNDS; round++) {
    const one = await rush(lab, ROUND_SECONDS);
    rounds.push(one);
    const times = [one.median, one.p99].map((ms) => `${ms.toFixed(0)} ms`);
    const after = seconds(performance.now() - began);
    rows.push([after, one.instances.join(' to '), one.rate.toFixed(0), ...times, String(one.errors)]);
  }
  for (const line of table('rlrrrr', rows)) console.log(`  ${line}`);
  return rounds;
};

/** Milliseconds until one is awake again and one spare is left; prints each change. */
const calm = async ({ lab }: Bench): Promise<number> => {
  const began = performance.now();
  for (let last = ''; performance.now() - began < GONE_WITHIN_MS; await pause(LOOK_MS)) {
    const [awake, made] = [await instancesAwake(lab), await instancesMade(lab)];
    const now = `${awake} awake of ${made}`;
    if (now !== last) console.log(`  ${seconds(performance.now() - began)} after the rush: ${now}`);
    last = now;
    if (awake === 1 && made <= 2) return performance.now() - began;
  }
  throw new Error('the instances did not go');
};

const measure = async (bench: Bench): Promise<Figure[]> => {
  await openShop(bench.lab, MAX);
  await using journal = await Journal.open(bench.client);
  const began = performance.now();
  const rounds = await rushHour(bench, began);
  const gone = await calm(bench);
  for (const { kind, name, code, reason } of journal.decisions)
    console.log(`  ${kind} ${name} ${code}: ${reason}`);
  const most = Math.max(...rounds.map(({ instances }) => instances[1]));
  const one = (name: string, unit: string, value: number, limit?: number, moreIsBetter = false): Figure =>
    figure({ name: `overload, ${name}`, unit, values: [value], moreIsBetter }, limit);
  const responses = (some: readonly RushRound[]): number[] => some.map(({ median }) => median);
  return [
    one(
      'errors',
      '',
      rounds.reduce((sum, { errors }) => sum + errors, 0),
      0,
    ),
    one('most instances awake', '', most, 2, true),
    figure({
      name: 'overload, median response, first round',
      unit: 'ms',
      values: responses(rounds.slice(0, 1)),
    }),
    figure({
      name: 'overload, median response, last rounds',
      unit: 'ms',
      values: responses(rounds.slice(-LAST_ROUNDS)),
    }),
    one('until the instances have gone', 's', gone / 1000),
  ];
};

export const overload: Part = {
  name: 'overload',
  title: `A site that is asked more than one instance can answer, with up to ${MAX}`,
  daemon: GATEWAY.args,
  measure,
};
