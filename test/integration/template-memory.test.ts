/**
 * Identity in the memory of real programs: found in a snapshot of them, and changed in forks of it that are stopped, which see it when they
 * go on. Root and gcc are needed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Schema, loadEngine } from '../../src/criu/index.ts';
import { run } from '../../src/exec/index.ts';
import { layerName } from '../../src/snapshots/index.ts';
import type { Manifest } from '../../src/snapshots/index.ts';
import { applyPokes, findPersonality, pokesFor, prepareImages } from '../../src/templates/memory/index.ts';
import type { Personality, Poke, ProcessPersonality, Wiped } from '../../src/templates/memory/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { pastOf } from '../support/past.ts';
import { PYTHON, fixture, openLines } from '../support/programs/program.ts';

const PORTS = { plain: 8080, setter: 8081, node: 8082, python: 8083 };
type Part = keyof typeof PORTS;
const PARTS = Object.keys(PORTS) as Part[];
const COMPILED = ['plain', 'setter'] as const;
const WITH_OPENSSL = ['node', 'python'] as const;

const VARIABLES = { WHO: 'template', PLACE: 'here' };
const LONGER = 'a place with a name that is much longer than the one before';
const GENERATION = 7;

let lab: Lab;
let app: Application;
let snapshot: string;
let found: Personality;
let wiped: Wiped[];
let parts: Record<Part, ProcessPersonality>;

const ask = async ({ address }: { address: string }, part: Part, line: string): Promise<string> => {
  const client = await openLines({ lab, address }, PORTS[part]);
  try {
    return await client.ask(line);
  } finally {
    client.close();
  }
};

const start = async (): Promise<Application> => {
  const program = join(lab.directory, 'who');
  await run('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, fixture('who.c')]);
  const commands: Record<Part, string[]> = {
    plain: [program],
    setter: [program],
    node: [process.execPath, fixture('who.js')],
    python: [PYTHON, fixture('who.py')],
  };
  const processes = Object.fromEntries(
    PARTS.map((part) => [
      part,
      { command: [...commands[part], String(PORTS[part]), '16'], environment: VARIABLES },
    ]),
  );
  const started = await launch(lab, 'original', { processes });
  for (const part of PARTS) await eventually(() => ask(started, part, 'get WHO'));
  expect(await ask(started, 'setter', 'add ADDED')).toBe('0');
  return started;
};

const processesOf = async (of: Application): Promise<{ pid: number; systemPid: number; command: string }[]> =>
  (await of.inspect()).processes;

const filesIn = (directory: string): string => join(lab.dataDirectory, directory);

const layers = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(filesIn('layers')).map((digest) => [layerName(digest), filesIn(`layers/${digest}`)]),
  );

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** What the images are now is what the snapshot has. */
const acceptImages = (): void => {
  const directory = filesIn(`snapshots/${snapshot}`);
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  const files = manifest.files.map(({ name }) => {
    const file = join(directory, name);
    return { name, size: statSync(file).size, sha256: sha256(readFileSync(file)) };
  });
  const text = JSON.stringify({ ...manifest, files });
  writeFileSync(path, text);
  const registry = new DatabaseSync(filesIn('registry.db'), { timeout: 1000 });
  registry.prepare('UPDATE snapshots SET digest = ? WHERE id = ?').run(sha256(text), snapshot);
  registry.close();
};

const personalities = async (): Promise<Record<Part, ProcessPersonality>> => {
  const running = await processesOf(app);
  const entries = PARTS.map((part) => {
    const pid = running.find(({ command }) => command.includes(` ${PORTS[part]} `))?.pid;
    return [part, found.processes.find((one) => one.pid === pid)];
  });
  return Object.fromEntries(entries) as Record<Part, ProcessPersonality>;
};

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  app = await start();
  ({ snapshot } = await pastOf(lab, app).snapshot());
  await app.kept();
  const images = filesIn(`snapshots/${snapshot}/images`);
  const { descriptors } = loadEngine();
  found = await findPersonality({
    images,
    descriptors,
    layers: layers(),
    variables: VARIABLES,
    hostname: app.hostname,
  });
  parts = await personalities();
  wiped = prepareImages(Schema.load(descriptors), images, found);
  acceptImages();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const readAt = (memory: number, at: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  expect(readSync(memory, bytes, 0, length, at)).toBe(length);
  return bytes;
};

const expectThere = (
  memory: number,
  { pid, variables, nodeNames, generators, cells }: ProcessPersonality,
): void => {
  expect(Object.keys(variables).toSorted()).toEqual(['PLACE', 'WHO']);
  for (const [name, strings] of Object.entries(variables))
    for (const { at, room, pointers } of strings) {
      const value = VARIABLES[name as keyof typeof VARIABLES];
      expect(readAt(memory, at, room).toString()).toBe(`${name}=${value}\0`);
      for (const pointer of pointers) expect(Number(readAt(memory, pointer, 8).readBigUInt64LE())).toBe(at);
    }
  for (const at of nodeNames) expect(readAt(memory, at, 65).toString()).toBe(app.hostname.padEnd(65, '\0'));
  for (const at of generators) expect(readAt(memory, at, 4).readUInt32LE()).toBe(pid);
  for (const at of cells) expect(readAt(memory, at, 16).toString()).toBe('AppShotGenCell1\n');
};

/** Writes while nothing of the application runs, as nothing does when a clone is restored. */
const pokeStopped = async (clone: Application, pokes: readonly Poke[]): Promise<void> => {
  const pids = new Map((await processesOf(clone)).map(({ pid, systemPid }) => [pid, systemPid]));
  const all = [...pids.values()];
  try {
    for (const pid of all) process.kill(pid, 'SIGSTOP');
    for (const pid of all)
      await eventually(() => expect(readFileSync(`/proc/${pid}/stat`, 'latin1')).toMatch(/\) T /));
    applyPokes(pokes, (pid) => pids.get(pid) ?? 0);
  } finally {
    for (const pid of all) process.kill(pid, 'SIGCONT');
  }
};

const forks = (...names: string[]): Promise<Application[]> =>
  Promise.all(names.map((name) => pastOf(lab, app).fork(name, snapshot)));

test('what is found is there in the running program', async () => {
  const running = await processesOf(app);
  for (const part of PARTS) {
    const { systemPid } = running.find(({ pid }) => pid === parts[part].pid) ?? { systemPid: 0 };
    const memory = openSync(`/proc/${systemPid}/mem`, 'r');
    try {
      expectThere(memory, parts[part]);
    } finally {
      closeSync(memory);
    }
    expect(parts[part].spare).toMatchObject({ size: 4096, added: true });
  }
  for (const part of COMPILED) {
    expect([parts[part].cells, parts[part].nodeNames].map(({ length }) => length)).toEqual([1, 1]);
    expect(wiped.filter(({ pid }) => pid === parts[part].pid).map(({ bytes }) => bytes)).toEqual([4096]);
  }
  // The array that the kernel made; and the one that setenv(3) made, which has the same strings.
  expect(parts.plain.variables['WHO']?.[0]?.pointers).toHaveLength(1);
  expect(parts.setter.variables['WHO']?.[0]?.pointers).toHaveLength(2);
  for (const part of WITH_OPENSSL) expect(parts[part].generators.length).toBeGreaterThan(0);
});

test('two clones see what they are, and draw different numbers', async () => {
  const [seeds, numbers]: [Set<string>, Set<string>] = [new Set(), new Set()];
  for (const twin of await forks('one', 'other')) {
    const variables = { WHO: twin.name, PLACE: LONGER };
    const facts = { variables, hostname: twin.hostname, generation: GENERATION, random: randomBytes };
    const { pokes, missing } = pokesFor(found, facts);
    expect(missing).toEqual([]);
    await pokeStopped(twin, pokes);
    for (const part of PARTS) {
      expect(await ask(twin, part, 'get WHO')).toBe(twin.name);
      expect(await ask(twin, part, 'get PLACE')).toBe(LONGER);
    }
    for (const part of COMPILED) {
      expect(await ask(twin, part, 'environ PLACE')).toBe(LONGER);
      expect(await ask(twin, part, 'node')).toBe(twin.hostname);
      expect(await ask(twin, part, 'wiped')).toBe('');
      const [generation, seed = ''] = (await ask(twin, part, 'cell')).split(' ');
      expect(generation).toBe(String(GENERATION));
      seeds.add(seed);
    }
    // Python keeps for itself what it read when it began.
    expect(await ask(twin, 'python', 'cached WHO')).toBe(VARIABLES.WHO);
    for (const part of WITH_OPENSSL) numbers.add(await ask(twin, part, 'random'));
  }
  expect([seeds.size, numbers.size]).toEqual([4, 4]);
});

test('left as they are, they would draw the same numbers', async () => {
  const twins = await forks('third', 'fourth');
  for (const part of WITH_OPENSSL) {
    const [one, other] = await Promise.all(twins.map((twin) => ask(twin, part, 'random')));
    expect(one).toBe(other);
  }
  expect(await ask(app, 'plain', 'wiped')).toBe('secret');
});

test('a clone whose memory comes lazily is changed before it is touched', async () => {
  const [twin] = await forks('sixth');
  if (!twin) throw new Error('no fork');
  await twin.sleep();
  await twin.kept();
  await lab.succeed('wake', '--memory', 'lazy', twin.name);
  const facts = { hostname: twin.hostname, generation: GENERATION, random: randomBytes };
  await pokeStopped(twin, pokesFor(found, { ...facts, variables: { WHO: twin.name, PLACE: LONGER } }).pokes);
  for (const part of PARTS) expect(await ask(twin, part, 'get PLACE')).toBe(LONGER);
  for (const part of COMPILED) expect(await ask(twin, part, 'node')).toBe(twin.hostname);
});

test('what cannot be written is refused', () => {
  const poke = { pid: 1, at: 4096, bytes: Buffer.alloc(8) };
  expect(() => applyPokes([poke], () => process.pid)).toThrow(/EFAULT.*1000/);
  expect(() => applyPokes([poke], () => 2 ** 30)).toThrow('ESRCH');
});

test('a template of a clone goes on in the spare memory that it has', async () => {
  const [twin] = await forks('fifth');
  if (!twin) throw new Error('no fork');
  const facts = { hostname: twin.hostname, generation: GENERATION, random: randomBytes };
  await pokeStopped(twin, pokesFor(found, { ...facts, variables: { WHO: twin.name, PLACE: LONGER } }).pokes);
  const taken = await pastOf(lab, twin).snapshot();
  await twin.kept();
  const again = await findPersonality({
    images: filesIn(`snapshots/${taken.snapshot}/images`),
    descriptors: loadEngine().descriptors,
    layers: layers(),
    variables: { WHO: twin.name, PLACE: LONGER },
    hostname: twin.hostname,
  });
  const { pid, spare } = parts.setter;
  const setter = again.processes.find((one) => one.pid === pid);
  const used = setter?.spare?.used ?? 0;
  expect(setter?.spare).toEqual({ ...spare, used, added: false });
  expect(used).toBeGreaterThan(spare?.used ?? 0);
  const place = setter?.variables['PLACE'] ?? [];
  expect(place.map(({ pointers }) => pointers)).toEqual([parts.setter.variables['PLACE']?.[0]?.pointers]);
  const longest = `${LONGER}, and longer again`;
  const { pokes, missing } = pokesFor(again, { ...facts, variables: { PLACE: longest } });
  expect(missing).toEqual([]);
  await pokeStopped(twin, pokes);
  for (const part of PARTS) expect(await ask(twin, part, 'get PLACE')).toBe(longest);
});
