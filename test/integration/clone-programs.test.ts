/**
 * Many clones of each real program serve at once, on the same port at their own addresses. Each is told something that it writes to the
 * same path as the others, and has its own afterwards, awake and woken; the source and whoever is cloned later have none of it.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { endLab, makeClone, makeClones, makeTemplate, removeAll, removeTemplate } from '../support/clones.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { etcd, etcdctl } from '../support/programs/etcd.ts';
import { jvm } from '../support/programs/jvm.ts';
import { nginx } from '../support/programs/nginx.ts';
import { node } from '../support/programs/node.ts';
import { postgres, query } from '../support/programs/postgres.ts';
import { curl, getJson } from '../support/programs/program.ts';
import type { Place, Program } from '../support/programs/program.ts';
import { redis, redisCli } from '../support/programs/redis.ts';
import { askTenant, tenant } from '../support/tenant.ts';

interface Kind extends Pick<Program, 'name' | 'launch' | 'ready'> {
  readonly clones: number;
  /** In the source, before it becomes a template. */
  warm?(at: Place): Promise<unknown>;
  /** Has it keep a word, in a file that has the same name everywhere. */
  tell(at: Place, word: string): Promise<unknown>;
  /** All that it was told, as it is on disk; empty when nothing was. */
  told(at: Place): Promise<string>;
}

/** Memory and file have the same. */
const noteOf = async (at: Place, port: number): Promise<string> => {
  const { memory, file } = await getJson<{ memory: string; file: string }>(at, port, '/note');
  expect(file).toBe(memory);
  return file;
};

const curlStatus = async (at: Place, ...words: string[]): Promise<string> =>
  (await at.lab.exec('curl', ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}', ...words]))
    .stdout;

const note = ({ address }: Place): string => `http://${address}/notes/note`;

const KINDS: readonly Kind[] = [
  {
    ...node,
    clones: 20,
    tell: (at, word) => getJson(at, node.port, `/note?text=${word}`),
    told: (at) => noteOf(at, node.port),
  },
  {
    ...tenant,
    clones: 20,
    tell: (at, word) => askTenant(at.lab, at, 'write', '/var/lib/tenant/note', word),
    told: async (at) =>
      (await askTenant(at.lab, at, 'exists', '/var/lib/tenant/note'))
        ? askTenant<string>(at.lab, at, 'read', '/var/lib/tenant/note')
        : '',
  },
  {
    ...redis,
    launch: {
      command: [...('command' in redis.launch ? redis.launch.command : []), '--enable-debug-command', 'yes'],
    },
    clones: 20,
    warm: (at) => redisCli(at, redis.port, 'SAVE'),
    tell: async (at, word) => {
      await redisCli(at, redis.port, 'SET', 'note', word);
      await redisCli(at, redis.port, 'SAVE');
    },
    told: async (at) => {
      expect(await redisCli(at, redis.port, 'DEBUG', 'RELOAD', 'NOSAVE')).toBe('OK');
      return redisCli(at, redis.port, 'GET', 'note');
    },
  },
  {
    ...nginx,
    clones: 20,
    tell: async (at, word) =>
      expect(await curlStatus(at, '--request', 'PUT', '--data', word, note(at))).toBe('201'),
    told: async (at) =>
      (await curlStatus(at, note(at))) === '404' ? '' : curl(at, nginx.port, '/notes/note'),
  },
  {
    ...etcd,
    clones: 10,
    tell: (at, word) => etcdctl(at, 'put', 'note', word),
    told: (at) => etcdctl(at, 'get', '--print-value-only', 'note'),
  },
  {
    ...postgres,
    clones: 5,
    warm: (at) =>
      query(at, 'CREATE TABLE note (word text); INSERT INTO note SELECT NULL FROM generate_series(1, 1000)'),
    tell: (at, word) => query(at, `INSERT INTO note VALUES ('${word}')`),
    told: (at) => query(at, "SELECT coalesce(string_agg(word, ','), '') FROM note"),
  },
  {
    ...jvm,
    clones: 5,
    warm: async (at) => {
      for (let turn = 0; turn < 50; turn += 1) await getJson(at, jvm.port, '/count');
    },
    tell: (at, word) => getJson(at, jvm.port, `/note?${word}`),
    told: (at) => noteOf(at, jvm.port),
  },
];

/** Of those, so many sleep and are woken. */
const SLEEPERS = 3;

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await endLab(lab);
});

const at = ({ address }: Pick<Application, 'address'>): Place => ({ lab, address });

test.each(KINDS)('$clones clones of $name have each its own', async ({ name, clones, ...program }) => {
  const source = await launch(lab, name, program.launch);
  onTestFinished(() => source.remove());
  await program.ready(at(source));
  await program.warm?.(at(source));
  await makeTemplate(lab, `${name}-warm`, source);
  onTestFinished(() => removeTemplate(lab, `${name}-warm`));
  const all = await makeClones(lab, `${name}-warm`, clones);
  onTestFinished(() => removeAll(lab, all));
  expect(new Set(all.map(({ address }) => address)).size).toBe(clones);

  await Promise.all(all.map((one) => program.tell(at(one), one.name)));
  const told = await Promise.all(all.map((one) => program.told(at(one))));
  expect(told).toEqual(all.map((one) => one.name));
  const later = await makeClone(lab, `${name}-warm`);
  onTestFinished(() => later.remove());
  expect(await Promise.all([later, source].map((one) => program.told(at(one))))).toEqual(['', '']);

  for (const one of all.slice(-SLEEPERS)) {
    await one.sleep();
    expect(await program.told(at(one))).toBe(one.name);
    expect(await one.state()).toBe('running');
  }
});
