/**
 * Clones: of a Node server that holds 400 MB, one after another beside a cold start and plain CRIU's restore of the same program, a
 * hundred at once, and what each of them holds of the whole machine's memory; and a thousand of a small program.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { CloneView } from '../src/api/index.ts';
import { launch } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { PORT, QUESTION, nodeServer, startServer } from './node-server.ts';
import { startPlain } from './plain-criu.ts';
import { residentMb } from './processes.ts';
import { ask } from './request.ts';

const MEGABYTES = 400;
const HUNDRED = 100;
const THOUSAND = 1000;
const SINGLE_LIMIT_MS = 15;
const HUNDRED_LIMIT_MS = 800;
const PRIVATE_LIMIT_MB = 3;
const TURNS = 2;
/** Environments that a daemon keeps ready unless told otherwise. */
const POOL = 2;
const TEMPLATE = 'warm';
const WINDOW_MS = 500;

const answer = ({ lab }: Bench, { address }: CloneView): Promise<number> =>
  ask(lab.namespace.inside(address, PORT), QUESTION);

/** The pool of environments is as it was: nothing is being made any more. */
const settled = ({ client }: Bench): Promise<void> =>
  eventually(async () => {
    const before = usedBytes();
    await pause(WINDOW_MS);
    if (Math.abs(usedBytes() - before) > 1 << 20)
      throw new Error('the memory of the machine is still changing');
    await client.version();
  }, 60_000);

const meminfo = (): ((name: string) => number) => {
  const text = readFileSync('/proc/meminfo', 'utf8');
  return (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
};

/** What the machine could not give to anybody else: all but free memory and what can be read again from a disk. */
const usedBytes = (): number => {
  const of = meminfo();
  return of('MemTotal') - of('MemFree') - of('Buffers') - (of('Cached') - of('Shmem')) - of('SReclaimable');
};

/** Of what the kernel keeps for them, in MB. */
const kernelMb = (): Record<string, number> => {
  const of = meminfo();
  return Object.fromEntries(
    ['AnonPages', 'SUnreclaim', 'Percpu', 'PageTables', 'KernelStack', 'Shmem'].map((name) => [
      name,
      of(name) / 1e6,
    ]),
  );
};

/**
 * In bytes. A file system without a journal, such as a machine of these benchmarks may have, passes over the inodes that were removed within
 * the last minutes, one by one, before it gives out a new one: what others removed before must not be measured here.
 */
const DISK = 24 * 2 ** 30;

/** A template of a warmed-up program, which itself goes. */
const makeTemplate = async (bench: Bench, megabytes: number): Promise<void> => {
  const { app } = await startServer(bench, 'origin', megabytes);
  await bench.client.createTemplate({ name: TEMPLATE, from: app.aid });
  await app.remove();
};

const removeAll = async ({ client }: Bench, clones: readonly CloneView[]): Promise<void> => {
  for (const { aid } of clones) await client.remove(aid, { force: true });
};

const singles = async (bench: Bench): Promise<Figure[]> => {
  const plain = await startPlain(bench.lab, 'clone', nodeServer(MEGABYTES), PORT, QUESTION);
  await plain.dump();
  const [whole, restore]: [number[], number[]] = [[], []];
  const all: CloneView[] = [];
  for (let sample = 0; sample < bench.samples; sample++) {
    await settled(bench);
    const began = performance.now();
    const made = await bench.client.clone(TEMPLATE, { count: 1 });
    for (const clone of made) await answer(bench, clone);
    whole.push(performance.now() - began);
    all.push(...made);
    restore.push(await plain.restore());
    await plain.dump();
  }
  await plain.restore();
  await plain.close();
  await removeAll(bench, all);
  const unit = 'ms';
  const other = { name: `plain CRIU, restore of ${MEGABYTES} MB`, unit, values: restore } as const;
  return [
    figure({ name: 'a clone, to its first whole response', unit, values: whole }, SINGLE_LIMIT_MS),
    compared({ name: 'a clone, beside a restore', unit, values: whole }, other),
    figure(other),
  ];
};

/** So many environments wait to be taken. */
const ready = async ({ lab }: Bench, count: number): Promise<void> =>
  eventually(async () => {
    const there = readdirSync(join(lab.runDirectory, 'env')).filter((name) => !name.startsWith('.'));
    if (there.length < count) throw new Error(`only ${there.length} environments are ready`);
  }, 60_000);

/** Of what a clone holds, in MB: the figures of /proc/meminfo that grow with it. */
const perClone = (before: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(kernelMb()).map(([name, mb]) => [name, (mb - (before[name] ?? 0)) / HUNDRED]),
  );

/** All at once: how long until each has answered, and what they hold once they are idle. */
const hundred = async (bench: Bench, pool: number): Promise<Figure[]> => {
  const [whole, held]: [number[], Record<string, number>[]] = [[], []];
  const all: CloneView[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    await ready(bench, all.length + pool);
    await settled(bench);
    const parts = kernelMb();
    const began = performance.now();
    const made = await bench.client.clone(TEMPLATE, { count: HUNDRED });
    await Promise.all(made.map((clone) => answer(bench, clone)));
    whole.push(performance.now() - began);
    all.push(...made);
    await ready(bench, all.length + pool);
    await settled(bench);
    held.push(perClone(parts));
  }
  await removeAll(bench, all);
  const names = Object.keys(held[0] ?? {});
  const sum = held.map((one) => names.reduce((total, name) => total + (one[name] ?? 0), 0));
  const title = `${HUNDRED} clones, until all have answered`;
  return [
    pool >= HUNDRED
      ? figure({ name: `${title}, environments ready`, unit: 'ms', values: whole }, HUNDRED_LIMIT_MS)
      : figure({ name: title, unit: 'ms', values: whole }),
    figure({ name: 'memory of the machine for each idle clone', unit: 'MB', values: sum }, PRIVATE_LIMIT_MB),
    ...names.map((name) =>
      figure({ name: `of it, ${name}`, unit: 'MB', values: held.map((one) => one[name] ?? 0) }),
    ),
  ];
};

export const clones: Part = {
  name: 'clones',
  disk: DISK,
  title: `Clones of a Node server that holds ${MEGABYTES} MB`,
  measure: async (bench) => {
    await makeTemplate(bench, MEGABYTES);
    const figures = [...(await singles(bench)), ...(await hundred(bench, POOL))];
    await bench.client.removeTemplate(TEMPLATE);
    return figures;
  },
};

export const readyClones: Part = {
  name: 'clones-ready',
  disk: DISK,
  title: `The same, with ${HUNDRED} environments kept ready (--pool ${HUNDRED})`,
  daemon: ['--pool', String(HUNDRED)],
  measure: async (bench) => {
    await makeTemplate(bench, MEGABYTES);
    const figures = await hundred(bench, HUNDRED);
    await bench.client.removeTemplate(TEMPLATE);
    return figures;
  },
};

/** Of a program that does nothing: what is left is what AppShot and the kernel need. */
const measureThousand = async (bench: Bench): Promise<Figure[]> => {
  const { client, lab } = bench;
  const app = await launch(lab, 'small', { command: ['sleep', 'infinity'] });
  await client.createTemplate({ name: TEMPLATE, from: app.aid });
  await settled(bench);
  const [used, daemon] = [usedBytes(), residentMb(lab.daemonPid())];
  const began = performance.now();
  const made = await client.clone(TEMPLATE, { count: THOUSAND });
  const ms = performance.now() - began;
  const running = (await client.apps({ all: true })).filter(({ state }) => state === 'running').length;
  if (running < THOUSAND) throw new Error(`only ${running} run`);
  await settled(bench);
  const each = (usedBytes() - used) / 1e6 / THOUSAND;
  const grown = residentMb(lab.daemonPid()) - daemon;
  await removeAll(bench, made);
  await client.removeTemplate(TEMPLATE);
  const name = `${THOUSAND} clones of a small program`;
  return [
    figure({ name: `${name}, until all run`, unit: 'ms', values: [ms] }),
    figure({ name: `${name}, memory of the machine for each`, unit: 'MB', values: [each] }),
    figure({ name: `${name}, memory of the daemon`, unit: 'MB', values: [grown] }),
  ];
};

export const thousand: Part = {
  name: 'thousand',
  disk: DISK,
  title: `${THOUSAND} clones alive at once`,
  measure: measureThousand,
};
