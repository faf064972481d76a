/** The pool of ready environments: how many there are, and when. Needs root, and what set-up makes. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../src/common/index.ts';
import { defaultEngineDir, loadEngine } from '../../src/criu/index.ts';
import {
  Cgroups,
  Maker,
  Pool,
  SKELETON_NAME,
  makeProbes,
  startTimeOf,
} from '../../src/environments/index.ts';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { openSqliteRegistry } from '../../src/registry/index.ts';
import type { Registry } from '../../src/registry/index.ts';
import { eventually } from '../support/eventually.ts';
import { makeNetworkNamespace } from '../support/network-namespace.ts';

const NAME = `appshot-pool-${process.pid}`;
const SIZE = 2;

interface Made {
  readonly pool: Pool;
  readonly registry: Registry;
  /** What exists, ready or in use. */
  readonly environments: () => string[];
}

/** A pool in a network namespace of the test's own. */
const makePool = async (): Promise<Made> => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-pool-'));
  const { init, command } = loadEngine(defaultEngineDir());
  const namespace = await makeNetworkNamespace(NAME);
  const probes = makeProbes();
  const fd = kernel.openFd(namespace.path);
  const netlink = kernel.withNetworkNamespace(fd, () => kernel.NetlinkSocket.open());
  const cgroups = Cgroups.open(NAME, join(base, 'cgroup'));
  const registry = await openSqliteRegistry(join(base, 'registry.db'));
  const skeleton = join(base, 'env', SKELETON_NAME);
  const maker = new Maker({ init, engine: command, skeleton, probes });
  const shop = {
    ...{ directory: join(base, 'env'), init, engine: command, maker, cgroups, netlink },
    prepare: () => undefined,
    guard: undefined,
    linkPrefix: 'asvtest',
  };
  const pool = new Pool(shop, registry, createLogger({ level: 'error' }), SIZE);
  onTestFinished(async () => {
    await pool.close();
    await maker.close();
    cgroups.close();
    netlink.close();
    await registry.close();
    for (const one of [fd, probes]) kernel.close(one);
    namespace.close();
    await run('ip', ['netns', 'del', NAME]);
    rmSync(base, { recursive: true });
  });
  const environments = (): string[] => readdirSync(shop.directory).filter((name) => !name.startsWith('.'));
  return { pool, registry, environments };
};

test('those that somebody expects to take are made ahead, and none beyond them; then the pool is what it was', async () => {
  const { pool, registry, environments } = await makePool();
  await pool.refill();
  expect(pool.ready).toBe(SIZE);
  const expected = pool.expect(9);
  await pool.refill();
  expect(pool.ready).toBe(9);
  expect(environments()).toHaveLength(9);
  const taken = await Promise.all(Array.from({ length: 5 }, () => pool.take()));
  expect(new Set(taken.map(({ id }) => id)).size).toBe(5);
  await pool.refill();
  expect(pool.ready).toBe(4);
  expected[Symbol.dispose]();
  await eventually(() => expect(environments()).toHaveLength(SIZE + 5));
  expect(pool.ready).toBe(SIZE);
  await Promise.all(taken.map((environment) => pool.discard(environment)));
  await pool.refill();
  await eventually(async () => expect(await registry.listEnvironments()).toHaveLength(SIZE));
  expect(environments()).toHaveLength(SIZE);
});

test('a full pool is not filled up again while those who said so are taking', async () => {
  const { pool } = await makePool();
  await pool.refill();
  const expected = pool.expect(SIZE);
  const taken = await pool.take();
  await pool.refill();
  expect(pool.ready).toBe(SIZE - 1);
  expected[Symbol.dispose]();
  await eventually(() => expect(pool.ready).toBe(SIZE));
  await pool.discard(taken);
});

test('all who take at once get one each', async () => {
  const { pool } = await makePool();
  const taken = await Promise.all(Array.from({ length: 20 }, () => pool.take()));
  expect(new Set(taken.map(({ pid }) => pid)).size).toBe(20);
  // Each has an engine that answers to nobody else: its first process says that it is ready.
  expect(new Set(await Promise.all(taken.map((one) => one.stateFound())))).toEqual(new Set(['ready']));
  await Promise.all(taken.map((environment) => pool.discard(environment)));
});

/** The process that makes this one's environments. */
const makerOf = (): number => {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  const maker = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0maker\0'));
  return Number(maker);
};

test('another one makes them when the process that does was killed; what it had made goes on', async () => {
  const { pool } = await makePool();
  const before = await pool.take();
  await pool.refill();
  process.kill(makerOf(), 'SIGSTOP');
  const waiting = Array.from({ length: SIZE + 4 }, () => pool.take());
  process.kill(makerOf(), 'SIGKILL');
  const taken = [before, ...(await Promise.all(waiting))];
  expect(await Promise.all(taken.map((one) => one.stateFound()))).toEqual(taken.map(() => 'ready'));
  expect(startTimeOf(before.pid)).toBe(before.startTime);
  await Promise.all(taken.map((environment) => pool.discard(environment)));
});

test('why none could be made is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'appshot-maker-'));
  const { init, command } = loadEngine(defaultEngineDir());
  const probes = makeProbes();
  const maker = new Maker({ init, engine: command, skeleton: join(directory, SKELETON_NAME), probes });
  onTestFinished(async () => {
    await maker.close();
    kernel.close(probes);
    rmSync(directory, { recursive: true });
  });
  await expect(maker.make([[join(directory, 'missing')]])).rejects.toMatchObject({
    code: 'ENVIRONMENT_FAILED',
    message: expect.stringContaining(`${join(directory, 'missing')}: No such file or directory`) as string,
  });
  mkdirSync(join(directory, 'a0'));
  await expect(maker.make([[join(directory, 'a0'), '/proc/missing']])).rejects.toMatchObject({
    code: 'ENVIRONMENT_FAILED',
    message: expect.stringContaining('/proc/missing') as string,
  });
});
