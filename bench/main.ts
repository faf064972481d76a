/**
 * npm run bench -- [--json FILE] [--markdown FILE] [--samples N] [--only PART]
 *
 * Measures what AppShot promises and prints each figure beside what it is compared with, in one run. A slow machine or a promise that is
 * not kept does not fail it; something that does not work does.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Client } from '../src/api/client.ts';
import { createLab } from '../test/support/lab.ts';
import { mountDisk } from '../test/support/small-disk.ts';
import type { Part } from './bench.ts';
import type { Figure } from './figures.ts';
import { lines } from './report.ts';
import { clones, readyClones, thousand } from './clones.ts';
import { coldCache } from './cold-cache.ts';
import { day } from './day.ts';
import { firstSleepOf } from './first-sleep.ts';
import { gateway } from './gateway.ts';
import { guard, shared } from './mappings.ts';
import { markdown } from './markdown.ts';
import { network } from './network.ts';
import { overload } from './overload.ts';
import { programs } from './programs.ts';
import { published } from './published.ts';
import { scheduler } from './scheduler.ts';
import { sizes } from './sizes.ts';
import { sleepers } from './sleepers.ts';
import { twenty } from './twenty.ts';
import { wakeOf } from './wake.ts';

const SIZES = [0, 50, 400, 1500];
const PARTS: readonly Part[] = [
  ...SIZES.map(wakeOf),
  sizes,
  ...SIZES.map(firstSleepOf),
  coldCache,
  guard,
  shared,
  programs,
  clones,
  readyClones,
  thousand,
  network,
  sleepers,
  published,
  gateway,
  scheduler,
  twenty,
  day,
  overload,
];
const SAMPLES = 20;

const USAGE = `npm run bench -- [--json FILE] [--markdown FILE] [--samples N] [--only PART]
  parts: ${PARTS.map((part) => part.name).join(', ')}
  samples: ${SAMPLES} of each figure when left out`;

class UsageError extends Error {}

interface Options {
  readonly json: string | undefined;
  readonly markdown: string | undefined;
  readonly samples: number;
  readonly parts: readonly Part[];
}

const readOptions = (args: string[]): Options => {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: 'string' },
      markdown: { type: 'string' },
      samples: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const samples = Number(values.samples ?? SAMPLES);
  if (!Number.isInteger(samples) || samples < 1)
    throw new UsageError('--samples is a whole number from 1 on');
  const parts = PARTS.filter((part) => values.only === undefined || part.name === values.only);
  if (parts.length === 0) throw new UsageError(`there is no part ${values.only}`);
  return { json: values.json, markdown: values.markdown, samples, parts };
};

/** Each part has a daemon of its own: what one part leaves in its memory is no figure of the next. */
const measure = async (samples: number, part: Part): Promise<Figure[]> => {
  console.log(`\n${part.title}`);
  await using lab = await createLab();
  if (part.disk !== undefined) await mountDisk(lab.dataDirectory, part.disk);
  if (part.daemon !== null) await lab.daemon({ args: part.daemon ?? [] });
  const figures = await part.measure({ lab, client: new Client(lab.runDirectory), samples });
  for (const line of lines(figures)) console.log(`  ${line}`);
  return figures;
};

const main = async (): Promise<void> => {
  const options = readOptions(process.argv.slice(2));
  const { samples, parts } = options;
  const figures: Figure[] = [];
  for (const part of parts) figures.push(...(await measure(samples, part)));
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(figures, null, 2) + '\n');
  if (options.markdown !== undefined) writeFileSync(options.markdown, markdown(figures));
  const broken = figures.filter((one) => one.met === false).length;
  const promises = figures.filter((one) => one.met !== undefined).length;
  console.log(`\n${promises - broken} of ${promises} promises met`);
};

try {
  await main();
} catch (error) {
  const usage =
    error instanceof UsageError || String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
  console.error(usage ? `${(error as Error).message}\n${USAGE}` : error);
  process.exitCode = usage ? 2 : 1;
}
