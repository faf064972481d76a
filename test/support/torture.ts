/**
 * Memory torture through real sleeps and wakes: `fixtures/torture.c`, which knows at every time what must be in its memory, runs as
 * applications that are put to sleep, woken in every mode, saved, rewound and forked at random. One number decides what is done, in
 * which order, and what the programs do; only the instants are the machine's.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '../../src/api/client.ts';
import type { AppDetail, MemoryMode } from '../../src/api/index.ts';
import { run } from '../../src/exec/index.ts';
import { applicationOf, launch } from './application.ts';
import type { Application } from './application.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';
import { fixture } from './programs/program.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';

/** Where it looks for the sign to end, in its own root. */
const SIGN = '/var/tmp/torture-ends';
const LAST = 25;
const LONGEST_RUN_MS = 800;
const END_WITHIN_MS = 30_000;
/** In this order, again and again. Without a wish it is by layer, or by copy when there is no layer yet. */
const WISHES = ['layer', 'lazy', 'copy', 'auto'] as const;

export interface Victim {
  readonly seed: number;
  readonly threads: number;
  /** What each thread holds to begin with, all together, and how many operations each does in a second. */
  readonly megabytes: number;
  readonly pace: number;
}

/** What was done to all programs, and what they did. */
export interface Tally {
  operations: number;
  sleeps: number;
  snapshots: number;
  rewinds: number;
  forks: number;
  readonly wakes: Record<MemoryMode, number>;
  /** Names of the layers that were seen: each was made by a fold. */
  readonly layers: Set<string>;
}

export const newTally = (): Tally => ({
  operations: 0,
  sleeps: 0,
  snapshots: 0,
  rewinds: 0,
  forks: 0,
  wakes: { layer: 0, lazy: 0, copy: 0 },
  layers: new Set(),
});

/** Compiles the program into the lab's directory. Returns its path. */
export const compileTorture = async (lab: Lab): Promise<string> => {
  const program = join(lab.directory, 'torture');
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
  await run('gcc', [...flags, '-o', program, fixture('torture.c')]);
  return program;
};

interface Scene {
  readonly lab: Lab;
  /** What is done often is not done by the command line, which would take more from the machine than the daemon. */
  readonly client: Client;
  readonly victim: Victim;
  readonly app: Application;
  readonly tally: Tally;
  readonly random: Random;
  /** How often something was woken. */
  woken: number;
  /** What was done, last last. */
  readonly done: string[];
}

const wordsOf = ({ logs }: AppDetail): string => logs.map((path) => readFileSync(path, 'utf8')).join('\n');

const logOf = async ({ client }: Scene, app: Application): Promise<string> =>
  wordsOf(await client.inspect(app.aid));

const noteLayers = ({ lab, tally }: Scene): void => {
  for (const name of readdirSync(join(lab.dataDirectory, 'layers'))) tally.layers.add(name);
};

/** Of one that runs. */
const countWake = async ({ client, tally, done }: Scene, app: Application): Promise<void> => {
  const mode = (await client.inspect(app.aid)).memory?.mode ?? 'copy';
  done.push(`  by ${mode}`);
  tally.wakes[mode] += 1;
};

/** Wakes one in the next mode. */
const wakeAnyhow = async (scene: Scene, app: Application): Promise<void> => {
  const wish = WISHES[scene.woken++ % WISHES.length] ?? 'auto';
  scene.done.push(`wake ${app.name} --memory ${wish}`);
  await scene.client.wake(app.aid, { memory: wish });
  await countWake(scene, app);
};

/** Throws when the program has found something, or has ended. */
const look = async (scene: Scene, app: Application): Promise<void> => {
  const detail = await scene.client.inspect(app.aid);
  if (/^wrong/m.test(wordsOf(detail))) throw new Error(`${app.name} found its memory changed`);
  if (detail.state !== 'running') throw new Error(`${app.name} is ${detail.state}`);
  noteLayers(scene);
};

/** Lets it check everything once more and end by itself. Returns how many operations it did. */
const finish = async (scene: Scene, app: Application): Promise<number> => {
  scene.done.push(`end ${app.name}`);
  await scene.lab.succeed('exec', app.aid, '--', 'touch', SIGN);
  return eventually(
    async () => {
      const ended = /^ok (\d+) (\d+)$/m.exec(await logOf(scene, app));
      if (ended && Number(ended[2]) === scene.victim.seed) return Number(ended[1]);
      throw new Error(`${app.name} has not ended well`);
    },
    END_WITHIN_MS,
    100,
  );
};

const nap = async (scene: Scene): Promise<void> => {
  const { client, app, tally, random } = scene;
  scene.done.push('sleep');
  await client.sleep(app.aid);
  tally.sleeps += 1;
  if (random.integer(3) === 0) await pause(random.integer(LONGEST_RUN_MS));
  await wakeAnyhow(scene, app);
};

const save = async ({ client, app, tally, done }: Scene): Promise<void> => {
  done.push('snapshot');
  await client.takeSnapshot(app.aid);
  tally.snapshots += 1;
};

const goBack = async (scene: Scene): Promise<void> => {
  const { client, app, tally, done, random } = scene;
  const past = await client.history(app.aid);
  if (past.length === 0) return;
  const { snapshot } = random.pick(past);
  const asleep = random.integer(2) === 0;
  done.push(`rewind ${snapshot}, of ${past.length}${asleep ? ', asleep' : ''}`);
  if (asleep) await client.sleep(app.aid);
  await client.rewind(app.aid, { snapshot });
  tally.rewinds += 1;
  if (asleep) await wakeAnyhow(scene, app);
  else await countWake(scene, app);
};

const branch = async (scene: Scene): Promise<void> => {
  const { lab, client, app, tally, done, random } = scene;
  const past = await client.history(app.aid);
  if (past.length === 0) return;
  const { snapshot } = random.pick(past);
  const name = `${app.name}-${tally.forks}`;
  done.push(`fork ${snapshot}, of ${past.length}, as ${name}`);
  const made = await client.fork(app.aid, { snapshot, name });
  const twin = applicationOf(lab, made);
  tally.forks += 1;
  await countWake(scene, twin);
  if (random.integer(2) === 0) {
    await client.sleep(twin.aid);
    await wakeAnyhow(scene, twin);
  }
  await pause(random.integer(LONGEST_RUN_MS));
  await look(scene, twin);
  await finish(scene, twin);
  await twin.remove();
};

const sweep = async ({ client, done }: Scene): Promise<void> => {
  done.push('gc');
  await client.gc();
};

const ACTS = [...Array<typeof nap>(12).fill(nap), save, save, save, goBack, goBack, branch, sweep] as const;

const describe = async (scene: Scene, cause: unknown): Promise<Error> => {
  const { app, victim, done } = scene;
  const log = await logOf(scene, app).catch((error: unknown) => String(error));
  const lines = log.split('\n').filter((line) => !line.startsWith('op '));
  return new Error(
    [
      `seed ${victim.seed}, ${victim.threads} threads: ${String(cause)}`,
      'last operations:',
      ...done.slice(-LAST),
      'what the program wrote:',
      ...lines.slice(-LAST * 4),
    ].join('\n  '),
    { cause },
  );
};

/**
 * Runs one program, and does things to it while `goesOn` says so. Adds to the tally. Throws with the seed, the last operations
 * and the program's own words as soon as anything is different from what it should be.
 */
export const torture = async (
  lab: Lab,
  program: string,
  victim: Victim,
  tally: Tally,
  goesOn: () => boolean,
): Promise<void> => {
  const { seed, threads, megabytes, pace } = victim;
  const options = ['--megabytes', String(megabytes), '--pace', String(pace), '--until-file', SIGN];
  const command = [program, String(seed), '0', String(threads), ...options];
  const app = await launch(lab, `torture-${threads}-${seed}`, { command });
  const client = new Client(lab.runDirectory);
  const scene: Scene = { lab, client, victim, app, tally, random: randomOf(seed), woken: 0, done: [] };
  try {
    await eventually(async () => {
      if (!(await logOf(scene, app)).includes('ready')) throw new Error(`${app.name} is not ready`);
    });
    while (goesOn()) {
      await pause(scene.random.integer(LONGEST_RUN_MS));
      await scene.random.pick(ACTS)(scene);
      await look(scene, app);
    }
    tally.operations += await finish(scene, app);
  } catch (cause) {
    throw await describe(scene, cause);
  }
  await app.remove();
};

export const formatTally = ({
  operations,
  sleeps,
  snapshots,
  rewinds,
  forks,
  wakes,
  layers,
}: Tally): string =>
  `${operations} operations on memory; ${sleeps} sleeps, wakes: ${wakes.layer} by layer, ${wakes.lazy} lazy, ${wakes.copy} by copy; ` +
  `${snapshots} snapshots, ${rewinds} rewinds, ${forks} forks; ${layers.size} folds`;
