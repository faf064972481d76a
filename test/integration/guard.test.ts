/**
 * The guard of memory layers by itself, without an environment: a program does at random what can be done with memory, part of
 * which are private mappings of files, and must not be able to tell; and what the guard is made of, system calls injected
 * into a task that waits, must leave the waiting as it was. Root and gcc are needed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, start } from '../../src/exec/index.ts';
import type { RunResult } from '../../src/exec/index.ts';
import { compileInit } from '../../src/setup/init-program.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
const OPERATIONS = '800';
const random = Math.floor(Math.random() * 1e9);

let directory: string;
let init: string;

const program = (name: string): string => join(directory, name);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'appshot-guard-'));
  init = await compileInit(directory);
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
  for (const name of ['torture', 'waits'])
    await run('gcc', [...flags, '-o', program(name), join(FIXTURES, `${name}.c`)]);
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs the torture on layers of its own making, behind `before`, whatever it ends with. */
const torture = (before: readonly string[], seed: number, threads: number): Promise<RunResult> => {
  const own = [String(seed), OPERATIONS, String(threads), '--self-layer', directory];
  const [tool = '', ...args] = [...before, program('torture'), ...own];
  return run(tool, args, { acceptExit: [0, 1], timeoutMs: 60_000 });
};

test.each([
  [1, 1],
  [2, 4],
  [3, 4],
  [random, 1],
  [random, 4],
])('seed %d with %d threads: nothing shows that memory is a layer', async (seed, threads) => {
  const { stdout } = await torture([init, 'guard', `${directory}/`, '--'], seed, threads);
  const total = Number(OPERATIONS) * threads;
  expect(stdout, `seed ${seed}`).toMatch(new RegExp(`^ok ${total} ${seed}$`, 'm'));
});

test('without the guard it shows', async () => {
  const { stdout, code } = await torture([], 1, 1);
  expect(stdout).toMatch(/^wrong: /m);
  expect(code).toBe(1);
});

test.each([
  ['nanosleep', '0 -'],
  ['futex', '-1 ETIMEDOUT'],
  ['poll', '0 -'],
  ['epoll', '1 -'],
  ['read', '1 -'],
  ['sigsuspend', '-1 EINTR'],
  ['wait', '1 -'],
  ['user code', '0 -'],
])('a task that is stopped in %s goes on there', async (kind, expected) => {
  const waiting = await start(program('waits'), [kind]);
  const said = new Promise<string>((resolve) => {
    let text = '';
    waiting.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()));
    waiting.stdout?.once('close', () => resolve(text.trim()));
  });
  const injected = await run(init, ['inject', String(waiting.pid), '60']);
  expect(await said).toBe(expected);
  expect(Number(injected.stdout)).toBeGreaterThan(20);
});

test('the filter is the same bytes each time: snapshots are searched for them', async () => {
  const [once, again] = [await run(init, ['guard-filter']), await run(init, ['guard-filter'])];
  expect(once.stdout).toBe(again.stdout);
  // Each instruction has eight bytes.
  expect(once.stdout.trim()).toMatch(/^([\da-f]{16})+$/);
});
