/**
 * Torture of memory through sleeps and wakes, for as long as one likes.
 *
 *   npm run torture [-- --minutes N] [--seed N]
 *
 * Programs of one thread and of four, which know what must be in their memory, sleep, wake in all modes, are rewound and forked
 * (test/support/torture.ts). It ends with 1 when anything was not as it should be, and prints what is needed to look for it.
 */
import { parseArgs } from 'node:util';
import { createLab } from '../test/support/lab.ts';
import { compileTorture, formatTally, newTally, torture } from '../test/support/torture.ts';

const MINUTE_MS = 60_000;
/** How long one pair of programs lives before the next, with other seeds, begins. */
const GENERATION_MS = 2 * MINUTE_MS;

const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } });
const minutes = Number(values.minutes ?? 10);
const firstSeed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
if (!(minutes > 0) || !Number.isSafeInteger(firstSeed)) {
  console.error('usage: npm run torture [-- --minutes N] [--seed N]');
  process.exit(2);
}

const play = async (): Promise<void> => {
  await using lab = await createLab();
  await lab.daemon({ args: ['--log-level', 'warn'] });
  const program = await compileTorture(lab);
  const tally = newTally();
  const end = performance.now() + minutes * MINUTE_MS;
  for (let seed = firstSeed; performance.now() < end; seed += 2) {
    const until = Math.min(end, performance.now() + GENERATION_MS);
    console.log(`seeds ${seed} (one thread) and ${seed + 1} (four threads)`);
    const goesOn = (): boolean => performance.now() < until;
    await Promise.all([
      torture(lab, program, { seed, threads: 1, megabytes: 24, pace: 600 }, tally, goesOn),
      torture(lab, program, { seed: seed + 1, threads: 4, megabytes: 48, pace: 200 }, tally, goesOn),
    ]);
    console.log(formatTally(tally));
  }
};

try {
  await play();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
