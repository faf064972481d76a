/**
 * The arrows between the rooms, held against what the linter really does: for every pair of rooms a file that imports one from
 * the other is linted with the project's configuration, and must be refused exactly when the arrow is not allowed.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Imports point down this list, as in ARCHITECTURE.md. */
const ROOMS = [
  'cli',
  'daemon',
  'setup',
  'api',
  'scheduler',
  'application',
  'templates',
  'transport',
  'snapshots',
  'harness',
  'environments',
  'gateway',
  'names',
  'network',
  'resources',
  'criu',
  'registry',
  'kernel',
  'exec',
  'common',
];

/**
 * The exceptions: the command line only talks to the daemon, the gateway and the names know nothing of applications but what they are
 * told, and the words of the API are everybody's but the lowest rooms'.
 */
const mayImport = (from: string, to: string): boolean => {
  if (from === 'cli') return ['setup', 'api', 'common'].includes(to);
  if (from === 'api') return to === 'common';
  if (from === 'gateway' || from === 'names') return ['api', 'kernel', 'exec', 'common'].includes(to);
  if (to === 'api') return !['kernel', 'exec', 'common'].includes(from);
  return ROOMS.indexOf(from) < ROOMS.indexOf(to);
};

interface Finding {
  filename: string;
  code: string;
  help?: string;
}

/** Writes each file, lints all at once, and tells for each the reason of the refused import, if it was refused. */
const lint = async (directory: string, files: Map<string, string>): Promise<Map<string, string>> => {
  for (const [path, specifier] of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), `export * from '${specifier}';\n`);
  }
  await cp(join(root, '.oxlintrc.json'), join(directory, '.oxlintrc.json'));
  const output = await new Promise<string>((resolve) => {
    const tool = join(root, 'node_modules/.bin/oxlint');
    // It exits with 1 when it finds something, as it does here.
    execFile(tool, ['--format', 'json'], { cwd: directory, maxBuffer: 1 << 26 }, (_, stdout) =>
      resolve(stdout),
    );
  });
  const { diagnostics } = JSON.parse(output) as { diagnostics: Finding[] };
  const refusals = diagnostics.filter(({ code }) => code.includes('no-restricted-imports'));
  return new Map(refusals.map(({ filename, help = '' }) => [filename, help]));
};

const pairs = ROOMS.flatMap((from) => ROOMS.filter((to) => to !== from).map((to) => ({ from, to })));
const fileOf = (from: string, to: string, what: string): string => `src/${from}/deep/${to}-${what}.ts`;

describe('the linter', () => {
  let directory = '';
  let refused = new Map<string, string>();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-rooms-'));
    const files = new Map<string, string>();
    for (const { from, to } of pairs) {
      files.set(`src/${from}/${to}-shallow.ts`, `../${to}/index.ts`);
      files.set(fileOf(from, to, 'index'), `../../${to}/index.ts`);
      files.set(fileOf(from, to, 'inner'), `../../${to}/inner.ts`);
      files.set(fileOf(from, to, 'deeper'), `../../${to}/deep/index.ts`);
    }
    for (const room of ROOMS) {
      files.set(`src/${room}/own.ts`, './inner.ts');
      files.set(`src/${room}/deep/own.ts`, '../deeper/inner.ts');
      files.set(`src/${room}/koffi.ts`, 'koffi');
      files.set(`src/${room}/child.ts`, 'node:child_process');
      files.set(`src/${room}/client.ts`, '../api/client.ts');
      files.set(`src/${room}/old-child.ts`, 'child_process');
    }
    refused = await lint(directory, files);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it.each(ROOMS)('lets %s import the rooms below it and no other', (from) => {
    for (const to of ROOMS.filter((room) => room !== from)) {
      const reasons = [refused.get(fileOf(from, to, 'index')), refused.get(`src/${from}/${to}-shallow.ts`)];
      const expected = mayImport(from, to) ? '' : `The room ${from} may import only`;
      expect(
        reasons.map((reason = '') => reason.slice(0, expected.length || undefined)),
        `${from} -> ${to}`,
      ).toEqual([expected, expected]);
    }
  });

  it.each(ROOMS)('lets %s enter another room by its index.ts only', (from) => {
    for (const to of ROOMS.filter((room) => room !== from)) {
      expect(refused.has(fileOf(from, to, 'inner')), `${from} -> ${to}/inner.ts`).toBe(true);
      expect(refused.has(fileOf(from, to, 'deeper')), `${from} -> ${to}/deep/index.ts`).toBe(true);
    }
  });

  it.each(ROOMS)('lets %s import its own files', (room) => {
    expect(refused.has(`src/${room}/own.ts`)).toBe(false);
    expect(refused.has(`src/${room}/deep/own.ts`)).toBe(false);
  });

  const takers = (file: string): string[] => ROOMS.filter((room) => !refused.has(`src/${room}/${file}.ts`));

  // The command line loads the daemon's client only for a verb that needs it: completion and --help must be quick.
  it('lets only cli enter api by its client.ts', () => {
    expect(takers('client').filter((room) => room !== 'api')).toEqual(['cli']);
  });

  it('lets only kernel import koffi, and only exec child_process', () => {
    expect(takers('koffi')).toEqual(['kernel']);
    expect(takers('child')).toEqual(['exec']);
    expect(takers('old-child')).toEqual(['exec']);
  });
});

describe('src', () => {
  it('holds the rooms and nothing else', async () => {
    expect((await readdir(join(root, 'src'))).toSorted()).toEqual(ROOMS.toSorted());
  });

  it.each(ROOMS)('%s has an index.ts, and no folder with the name of a room', async (room) => {
    const entries = await readdir(join(root, 'src', room), { withFileTypes: true, recursive: true });
    expect(entries.map(({ parentPath, name }) => join(parentPath, name))).toContain(
      join(root, 'src', room, 'index.ts'),
    );
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    // The lint rule goes by names: it could not tell such a folder from the room.
    expect(folders.filter((folder) => ROOMS.includes(folder))).toEqual([]);
  });
});
