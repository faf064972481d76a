/** Redirections in an environment of their own, as its first process makes them. Needs root, and what set-up makes. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { defaultEngineDir, loadEngine } from '../../src/criu/index.ts';
import {
  Cgroups,
  Environment,
  Maker,
  SKELETON_NAME,
  makeApplicationFiles,
  makeProbes,
  makeRoot,
  preparePlaces,
} from '../../src/environments/index.ts';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { Layout } from '../../src/snapshots/index.ts';
import { makeNetworkNamespace } from '../support/network-namespace.ts';

const NAME = `appshot-redirects-${process.pid}`;

/** One environment in a network namespace of the test's own. */
const makeEnvironment = async (directory: string): Promise<Environment> => {
  const { init, command } = loadEngine(defaultEngineDir());
  const namespace = await makeNetworkNamespace(NAME);
  const probes = makeProbes();
  const fd = kernel.openFd(namespace.path);
  const netlink = kernel.withNetworkNamespace(fd, () => kernel.NetlinkSocket.open());
  const cgroups = Cgroups.open(NAME, join(directory, 'cgroup'));
  const skeleton = join(directory, 'env', SKELETON_NAME);
  const maker = new Maker({ init, engine: command, skeleton, probes });
  const shop = {
    ...{ directory: join(directory, 'env'), init, engine: command, maker, cgroups, netlink },
    prepare: () => undefined,
    guard: undefined,
    linkPrefix: 'asvtest',
  };
  const environment = await Environment.create(shop, 'a0');
  onTestFinished(async () => {
    await environment.destroy();
    await maker.close();
    cgroups.close();
    netlink.close();
    for (const one of [fd, probes]) kernel.close(one);
    namespace.close();
    await run('ip', ['netns', 'del', NAME]);
  });
  return environment;
};

test('what is opened below one path is below another, also where paths lie within one another', async () => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-redirects-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const environment = await makeEnvironment(base);
  const layout = new Layout(join(base, 'data'));
  const files = layout.application('one');
  makeApplicationFiles(files, [], []);
  const [engine, volume] = [join(base, 'engine'), join(base, 'volume')];
  for (const path of [engine, volume, join(files.upper, 'user/config')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(files.upper, 'user/config/name'), 'everybody');
  writeFileSync(join(files.upper, 'user/file'), 'file');
  const redirects = [
    { from: '/user/config', to: '/usr/app/1/config' },
    { from: '/user/config/deep', to: '/vol/deep' },
    { from: '/user/file', to: '/usr/app/1/file' },
  ];
  using made = makeRoot({
    ...{ engine, files, shown: [], memory: [] },
    volumes: [{ source: volume, target: '/vol', readOnly: false }],
  });
  await preparePlaces(made, { links: [], redirects });
  writeFileSync(join(volume, 'deep/there'), 'volume');
  await environment.giveRoot('one', made.root, made.mounts, redirects);
  const inside = (path: string): string => join(`/proc/${environment.pid}/root`, path);
  expect(readFileSync(inside('user/config/name'), 'utf8')).toBe('everybody');
  writeFileSync(inside('user/config/name'), 'mine');
  writeFileSync(inside('user/file'), 'mine too');
  expect(readFileSync(inside('usr/app/1/config/name'), 'utf8')).toBe('mine');
  expect(readFileSync(inside('usr/app/1/file'), 'utf8')).toBe('mine too');
  expect(readdirSync(inside('user/config/deep'))).toEqual(['there']);
  expect(readFileSync(join(files.upper, 'user/config/name'), 'utf8')).toBe('everybody');
  expect(readFileSync(join(files.upper, 'user/file'), 'utf8')).toBe('file');
});

test('what is not there cannot be led to', async () => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-redirects-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const environment = await makeEnvironment(base);
  const files = new Layout(join(base, 'data')).application('one');
  makeApplicationFiles(files, [], []);
  mkdirSync(join(base, 'engine'));
  using made = makeRoot({ engine: join(base, 'engine'), files, volumes: [], shown: [], memory: [] });
  const redirects = [{ from: '/tmp', to: '/absent' }];
  await expect(environment.giveRoot('one', made.root, made.mounts, redirects)).rejects.toMatchObject({
    code: 'ENVIRONMENT_FAILED',
    details: { stage: '/absent', errno: 'ENOENT' },
  });
});
