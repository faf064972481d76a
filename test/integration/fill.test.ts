/**
 * The filler of layers (native/fill.c) with processes that wait as restored ones do: what they find in their memory when
 * they go on, whatever they do to it meanwhile. Root, gcc and /dev/userfaultfd are needed.
 */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, start } from '../../src/exec/index.ts';
import type { Started } from '../../src/exec/index.ts';
import { compileInit } from '../../src/setup/init-program.ts';
import { eventually } from '../support/eventually.ts';

/** As in the fixture. */
const [REGIONS, SIZE, PRESENT_FROM, PRESENT_TO] = [6, 4096 * 1024, 10, 20];
const LAYER_FD = 10;
const SCENARIOS = ['stay', 'discard', 'fork', 'split', 'move', 'unmap', 'protect', 'send', 'storm'];

let directory: string;
let init: string;
let fixture: string;
let layer: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'appshot-fill-'));
  init = await compileInit(directory);
  fixture = join(directory, 'fixture');
  layer = join(directory, 'layer');
  const source = fileURLToPath(new URL('../fixtures/fill.c', import.meta.url));
  await run('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', fixture, source, '-lpthread']);
  await run(fixture, ['layer', layer]);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Waiting {
  /** The controller, or what started it in namespaces of its own: with it all of them end. */
  readonly started: Started;
  /** The processes to fill, as this machine numbers them. */
  readonly subjects: readonly number[];
  /** Where each has its regions. */
  readonly addresses: readonly (readonly number[])[];
  /** The first of them: all others end with it. */
  readonly first: number;
  /** How it ended, and what they said about their memory. */
  readonly outcome: Promise<{ code: number | null; complaints: string }>;
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

/** Starts a scenario, up to where its processes wait. */
const waiting = async (scenario: string, confined: boolean, seed = 1): Promise<Waiting> => {
  const command = [fixture, scenario, String(seed)];
  const [tool = '', ...args] = confined ? ['unshare', '-Urpf', '--kill-child', ...command] : command;
  const started = await start(tool, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdout, stderr } = started;
  if (stdout === null || stderr === null) throw new Error('the fixture has no output');
  const complaints = text(stderr);
  const addresses: number[][] = [];
  for await (const line of createInterface({ input: stdout })) {
    const [subject = 0, ...places] = line.split(' ').map(Number);
    addresses[subject] = places;
    if (Object.keys(addresses).length === 2) break;
  }
  const [inner = 0] = childrenOf(started.pid);
  const first = confined ? inner : started.pid;
  const outcome = started.exited.then(async ({ code }) => ({ code, complaints: await complaints }));
  return { started, subjects: childrenOf(first), addresses, first, outcome };
};

/** The fields of a job, for both processes. */
const jobFor = ({ subjects, addresses }: Waiting): number[] =>
  subjects.flatMap((pid, subject) => {
    const regions = (addresses[subject] ?? []).map((address, region) => ({
      address,
      offset: (subject * REGIONS + region) * SIZE,
    }));
    const present = (addresses[subject]?.[1] ?? 0) + PRESENT_FROM * 4096;
    const ascending = regions.toSorted((a, b) => a.address - b.address);
    return [
      pid,
      REGIONS,
      ...ascending.flatMap(({ address, offset }) => [address, SIZE, LAYER_FD, offset]),
      1,
      present,
      (PRESENT_TO - PRESENT_FROM) * 4096,
    ];
  });

interface Filler {
  readonly process: Started;
  /** Its next line. */
  line(): Promise<string | undefined>;
}

const lock = (): string => join(directory, 'lock');

const fill = async (
  mode: 'copy' | 'lazy',
  programs: Waiting,
  { job = jobFor(programs), open = 'r' } = {},
): Promise<Filler> => {
  const jobPath = join(directory, 'job');
  writeFileSync(jobPath, job.map((field) => `${field}\0`).join(''));
  const [jobFd, layerFd] = [openSync(jobPath, 'r'), openSync(layer, open)];
  const args = ['fill', mode, ...(mode === 'lazy' ? [lock(), String(programs.first)] : [])];
  const unused = Array.from({ length: LAYER_FD - 4 }, () => 'ignore' as const);
  const stdio = ['ignore', 'pipe', 'ignore', jobFd, ...unused, layerFd] as const;
  const filler = await start(init, args, { stdio });
  for (const fd of [jobFd, layerFd]) closeSync(fd);
  if (filler.stdout === null) throw new Error('the filler has no output');
  const lines = createInterface({ input: filler.stdout })[Symbol.asyncIterator]();
  return { process: filler, line: async () => (await lines.next()).value };
};

/** Lets them run to their end. */
const letGo = (programs: Waiting): Waiting['outcome'] => {
  programs.started.stdin?.on('error', () => undefined).write('go\n');
  return programs.outcome;
};

const FINE = { code: 0, complaints: '' };

const isLocked = async (): Promise<boolean> =>
  (await run('flock', ['--nonblock', lock(), 'true'], { acceptExit: [0, 1] })).code === 1;

describe.each([
  ['here', false],
  ['in a user namespace', true],
])('%s', (_where, confined) => {
  test.each(SCENARIOS)('copied before: %s', async (scenario) => {
    const programs = await waiting(scenario, confined);
    const filler = await fill('copy', programs);
    expect(await filler.line()).toMatch(/^ok [1-9]\d+$/);
    expect(await filler.process.exited).toEqual({ code: 0, signal: null });
    expect(await letGo(programs)).toEqual(FINE);
  });

  test.each(SCENARIOS)('brought on demand: %s', async (scenario) => {
    const programs = await waiting(scenario, confined, Date.now() % 1e6);
    const filler = await fill('lazy', programs);
    expect(await filler.line()).toMatch(/^ok [1-9]\d+$/);
    expect(await letGo(programs)).toEqual(FINE);
    expect(await filler.line()).toMatch(/^done \d+$/);
    expect(await filler.process.exited).toEqual({ code: 0, signal: null });
    expect(await isLocked()).toBe(false);
  });
});

test('brings everything to processes that only wait, and leaves nothing else with them', async () => {
  const programs = await waiting('stay', false);
  const state = (): unknown =>
    programs.subjects.map((pid) => [
      readFileSync(`/proc/${pid}/maps`, 'utf8'),
      readdirSync(`/proc/${pid}/fd`),
    ]);
  const before = state();
  const filler = await fill('lazy', programs);
  const [, done] = [await filler.line(), await filler.line()];
  await filler.process.exited;
  expect(state()).toEqual(before);
  const copied = await fill('copy', programs);
  expect((await copied.line())?.replace('ok', 'done')).toBe(done);
  expect(await letGo(programs)).toEqual(FINE);
});

test('goes on when nobody listens and when it is told to end', async () => {
  const programs = await waiting('storm', true);
  const filler = await fill('lazy', programs);
  await filler.line();
  filler.process.stdout?.destroy();
  const all = [filler.process.pid, ...childrenOf(filler.process.pid)];
  for (const pid of all) for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(pid, name);
  expect(await letGo(programs)).toEqual(FINE);
  expect(await filler.process.exited).toEqual({ code: 0, signal: null });
});

test('ends when its processes are gone', async () => {
  const programs = await waiting('stay', true);
  const filler = await fill('lazy', programs);
  await filler.line();
  process.kill(programs.first, 'SIGKILL');
  expect(await filler.line()).toMatch(/^done/);
  expect((await filler.process.exited).code).toBe(0);
  await programs.started.exited;
});

test.each([1, 2, 3, 4, 5])('killed, the processes end before they read what is not there (%i)', async () => {
  const programs = await waiting('stay', true);
  const filler = await fill('lazy', programs);
  await filler.line();
  const end = letGo(programs);
  for (const pid of childrenOf(filler.process.pid)) process.kill(pid, 'SIGKILL');
  expect((await end).complaints).not.toMatch(/region/);
  const { code } = await filler.process.exited;
  expect(existsSync(`/proc/${programs.first}`)).toBe(false);
  // It may have been through already.
  expect(code === 1 || (await end).code === 0).toBe(true);
});

test('a layer that cannot be read ends the processes', async () => {
  const programs = await waiting('stay', true);
  const filler = await fill('lazy', programs, { open: 'a' });
  expect(await filler.line()).toMatch(/^ok/);
  expect((await filler.process.exited).code).toBe(1);
  const { code, complaints } = await letGo(programs);
  expect(code).not.toBe(0);
  expect(complaints).not.toMatch(/region/);
});

describe('refuses, and the processes are as they were', () => {
  type Change = (job: readonly number[]) => number[];
  const [PID, COUNT, ADDRESS, LENGTH] = [0, 1, 2, 3];

  interface Outcome {
    readonly line: string | undefined;
    readonly code: number | null;
    /** What comes out when the job is done as it should be, afterwards. */
    readonly afterwards: unknown;
  }

  const attempt = async (mode: 'copy' | 'lazy', change: Change): Promise<Outcome> => {
    const programs = await waiting('stay', false);
    const filler = await fill(mode, programs, { job: change(jobFor(programs)) });
    const line = await filler.line();
    const { code } = await filler.process.exited;
    const again = await fill('lazy', programs);
    await again.line();
    const afterwards = await letGo(programs);
    await again.process.exited;
    return { line, code, afterwards };
  };

  test.each<[string, Change]>([
    ['ends early', (job) => job.slice(0, -1)],
    ['goes on behind its end', (job) => [...job, 17]],
    ['has a count that is too large', (job) => job.with(COUNT, 1e12)],
    ['names ranges of another order', (job) => job.with(ADDRESS, 2 ** 50)],
    ['names a part of a page', (job) => job.with(LENGTH, SIZE - 1)],
    ['wants more than the layer has', (job) => job.with(LENGTH, 2 ** 40)],
  ])('a job that %s', async (_what, change) => {
    expect(await attempt('copy', change)).toEqual({ line: 'error job 22', code: 1, afterwards: FINE });
  });

  test('a process that is not there', async () => {
    const outcome = await attempt('lazy', (job) => job.with(PID, 2 ** 22 - 1));
    expect(outcome).toEqual({ line: 'error process 3', code: 1, afterwards: FINE });
  });

  test('memory that is not mapped', async () => {
    const outcome = await attempt('lazy', (job) => job.with(ADDRESS, 65_536).with(LENGTH, 4096));
    expect(outcome).toEqual({
      line: expect.stringMatching(/^error register \d+$/),
      code: 1,
      afterwards: FINE,
    });
  });
});

test('one at a time', async () => {
  const programs = await waiting('stay', false);
  const held = await start('flock', [lock(), 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] });
  await eventually(async () => expect(await isLocked()).toBe(true));
  expect(await (await fill('lazy', programs)).line()).toMatch(/^error lock 11$/);
  held.stdin?.end();
  await held.exited;
  await programs.started.stop();
});
