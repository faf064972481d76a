import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { boundLogs } from '../../src/application/logs.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'appshot-logs-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

test('a log that is too large is cut, and what it held is beside it', async () => {
  await writeFile(join(directory, 'web.stdout.log'), 'x'.repeat(11));
  await boundLogs(directory, 10);
  expect(await readFile(join(directory, 'web.stdout.log'), 'utf8')).toBe('');
  expect(await readFile(join(directory, 'web.stdout.log.1'), 'utf8')).toBe('x'.repeat(11));
});

test('other files stay as they are', async () => {
  await writeFile(join(directory, 'web.stdout.log'), 'x'.repeat(10));
  await writeFile(join(directory, 'exits'), 'x'.repeat(11));
  await boundLogs(directory, 10);
  expect(await readdir(directory)).toEqual(['exits', 'web.stdout.log']);
});
