/** What rules of CLASSIFY change in clones: files that all share, that begin empty, that are copied; memory that is copied. */
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import {
  endLab,
  inspectTemplate,
  makeClone,
  makeClones,
  makeTemplate,
  removeAll,
  removeTemplate,
} from '../support/clones.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { pastOf } from '../support/past.ts';
import { askTenant, launchTenant } from '../support/tenant.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await endLab(lab);
});

const rulesFile = (text: string): string => {
  const file = join(lab.directory, 'classes.rules');
  writeFileSync(file, text);
  return file;
};

const RULES = `
CLASSIFY FILE "/srv/journal" AS SHARED
CLASSIFY DIRECTORY "/srv/board" AS SHARED
CLASSIFY FILE "/srv/cache/**" AS VIRTUALIZE
CLASSIFY FILE "/srv/cache/kept" AS DUPLICATE
CLASSIFY FILE "/srv/*.pid" AS VIRTUALIZE
CLASSIFY FILE "/srv/own/**" AS DUPLICATE
CLASSIFY FILE "/dev/shm/*" AS VIRTUALIZE
CLASSIFY MEMORY AS DUPLICATE
`;

const write = (app: Application, path: string, word: string): Promise<unknown> =>
  askTenant(lab, app, 'write', path, word);
const read = (app: Application, path: string): Promise<unknown> => askTenant(lab, app, 'read', path);
const list = (app: Application, path: string): Promise<unknown> => askTenant(lab, app, 'list', path);
const keep = async (app: Application, word: string): Promise<string[]> =>
  (await askTenant<{ words: string[] }>(lab, app, 'keep', word)).words;

/** It keeps /srv/journal open. */
const source = async (name: string): Promise<Application> => {
  const app = await launchTenant(lab, name, { kept: '/srv/journal' });
  onTestFinished(() => app.remove());
  await keep(app, 'source');
  for (const path of ['board/a', 'cache/deep/x', 'cache/kept', 'own/data', 'web.pid'])
    await write(app, `/srv/${path}`, 'source');
  await write(app, '/dev/shm/pool', 'source');
  return app;
};

const templateOf = async (name: string, app: Application, rules: string): Promise<void> => {
  await makeTemplate(lab, name, app, '--rules', rulesFile(rules));
  onTestFinished(() => removeTemplate(lab, name));
};

/** What a clone has at first, whether it shares or has a copy of what is shared. */
const expectBeginning = async (app: Application): Promise<void> => {
  expect(await list(app, '/srv/cache')).toEqual(['kept']);
  expect(await read(app, '/srv/cache/kept')).toBe('source');
  expect(await read(app, '/srv/web.pid')).toBe('');
  expect(await read(app, '/dev/shm/pool')).toBe('');
  expect(await read(app, '/srv/own/data')).toBe('source');
  expect(await read(app, '/srv/board/a')).toBe('source');
};

test('a clone has what the rules say', async () => {
  const app = await source('web');
  await templateOf('warm', app, RULES);
  const { resources } = await inspectTemplate(lab, 'warm');
  const told = resources.filter(({ name }) => name.startsWith('/srv/') || name.startsWith('/dev/shm/'));
  expect(told.map(({ name, classes, action, rule }) => [name, classes.join(), action, rule?.line])).toEqual([
    ['/dev/shm/pool', 'virtualize', 'begins empty', 8],
    ['/srv/cache/kept', 'duplicate', "copied into the clone's own layer when it is made", 5],
    ['/srv/journal', 'shared', "the template's copy, one for all its clones", 2],
    ['/srv/web.pid', 'virtualize', 'begins empty', 6],
    ['/srv/board', 'shared', "the template's copy, one for all its clones", 3],
    ['/srv/cache', 'virtualize', 'begins empty', 4],
    ['/srv/own', 'duplicate', "copied into the clone's own layer when it is made", 7],
  ]);
  const memory = resources.filter(({ type }) => type === 'memory');
  expect(memory.map(({ action }) => action)).toEqual(memory.map(() => 'copied: private from the start'));

  const clones = await makeClones(lab, 'warm', 2);
  onTestFinished(() => removeAll(lab, clones));
  const [one, two] = clones;
  if (!one || !two) throw new Error('there are two');
  for (const clone of clones) {
    await expectBeginning(clone);
    expect((await clone.inspect()).memory?.mode).toBe('copy');
    const { files } = await clone.inspect();
    expect(readFileSync(join(files, 'srv/own/data'), 'utf8')).toBe('source');
  }
  // What is open is shared too, and goes on growing while one sleeps.
  await one.sleep();
  expect(await keep(two, 'two')).toEqual(['source', 'two']);
  await write(two, '/srv/board/b', 'two');
  expect(await keep(one, 'one')).toEqual(['source', 'two', 'one']);
  expect((await one.inspect()).memory?.mode).toBe('copy');
  expect(await read(one, '/srv/board/b')).toBe('two');
  expect(await keep(two, 'again')).toEqual(['source', 'two', 'one', 'again']);
  await write(one, '/srv/own/data', 'one');
  await write(one, '/srv/cache/y', 'one');
  expect(await read(two, '/srv/own/data')).toBe('source');
  expect(await list(two, '/srv/cache')).toEqual(['kept']);
  expect(await keep(app, 'still')).toEqual(['source', 'still']);
  expect(await list(app, '/srv/board')).toEqual(['a']);

  const layered = await makeClone(lab, 'warm', '--memory', 'layer');
  onTestFinished(() => layered.remove());
  expect((await layered.inspect()).memory?.mode).toBe('layer');
  expect(await list(layered, '/srv/board')).toEqual(['a', 'b']);

  // A fork has a copy of what the template began with.
  const fork = await pastOf(lab, one).fork('fork');
  onTestFinished(() => fork.remove());
  expect(await keep(fork, 'fork')).toEqual(['source', 'fork']);
  expect(await list(fork, '/srv/board')).toEqual(['a']);
  expect(await list(fork, '/srv/cache')).toEqual(['kept', 'y']);

  // Gone back, it shares again.
  const [past] = await one.history();
  await pastOf(lab, one).rewind(past?.snapshot ?? '');
  expect(await keep(one, 'back')).toEqual(['source', 'two', 'one', 'again', 'back']);

  const offline = await makeClone(lab, 'warm', '--offline');
  onTestFinished(() => offline.remove());
  await expectBeginning(offline);
  expect(await keep(offline, 'offline')).toEqual(['source', 'offline']);
  await write(offline, '/srv/board/c', 'offline');
  expect(await list(two, '/srv/board')).toEqual(['a', 'b']);
});

test('a template that arrives shares what it arrived with', async () => {
  const app = await source('traveller');
  await templateOf('leaving', app, RULES);
  const first = await makeClone(lab, 'leaving');
  await keep(first, 'first');
  await first.remove();
  const file = join(lab.directory, 'leaving.appshot');
  await lab.succeed('template', 'export', 'leaving', file);
  await lab.succeed('import', file, '--name', 'arrived');
  onTestFinished(() => removeTemplate(lab, 'arrived'));
  const clones = await makeClones(lab, 'arrived', 2);
  onTestFinished(() => removeAll(lab, clones));
  for (const [index, clone] of clones.entries()) {
    await expectBeginning(clone);
    expect(await keep(clone, clone.name)).toEqual([
      'source',
      ...clones.slice(0, index + 1).map(({ name }) => name),
    ]);
  }
});

test('what cannot be is refused, and leaves nothing', async () => {
  const app = await source('refused');
  for (const [rule = '', code, reason = ''] of [
    ['CLASSIFY FILE "/srv/journal" AS VIRTUALIZE', 'TEMPLATE_REFUSED', 'holds /srv/journal'],
    ['CLASSIFY FILE "/srv/nothing" AS SHARED', 'TEMPLATE_REFUSED', 'shares nothing'],
    ['CLASSIFY MEMORY "python*" AS DUPLICATE', 'BAD_RULES', 'leave out the pattern'],
  ]) {
    const words = ['template', 'create', 'no', '--from', app.name, '--rules', rulesFile(rule), '--json'];
    const error = failureOf(await lab.appshot(...words));
    expect({ rule, code: error.code }).toEqual({ rule, code });
    expect(error.message).toContain(reason);
  }
  expect(readdirSync(join(lab.dataDirectory, 'templates'))).toEqual([]);
});

test('what holds a lock on a volume cannot be forked while it has it', async () => {
  const volume = join(lab.directory, 'volume');
  mkdirSync(volume);
  const command = ['/usr/bin/flock', '--exclusive', '/data/lock', '/usr/bin/sleep', '600'];
  const app = await launch(lab, 'locker', { command }, ['--volume', `${volume}:/data`]);
  onTestFinished(() => app.remove());
  const refused = failureOf(await lab.appshot('fork', app.name, '--name', 'second', '--json'));
  expect(refused).toMatchObject({ code: 'FORK_REFUSED' });
  expect(refused.message).toContain('has locked /data/lock, which lies on a volume');
  await app.stop();
  const fork = await pastOf(lab, app).fork('second');
  onTestFinished(() => fork.remove());
  expect(await fork.state()).toBe('running');
});

test('what is written to a volume after a template was made is there in a clone', async () => {
  const volume = join(lab.directory, 'journals');
  mkdirSync(volume);
  const options = ['--volume', `${volume}:/data`];
  const app = await launchTenant(lab, 'journal', { kept: '/data/journal', options });
  onTestFinished(() => app.remove());
  await keep(app, 'one');
  await templateOf('journals', app, '# none');
  appendFileSync(join(volume, 'journal'), 'outside\n');
  expect(await keep(app, 'two')).toEqual(['one', 'outside', 'two']);
  const clone = await makeClone(lab, 'journals');
  onTestFinished(() => clone.remove());
  expect(await keep(clone, 'three')).toEqual(['one', 'outside', 'two', 'three']);
});
