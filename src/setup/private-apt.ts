/**
 * Downloads packages of another Debian suite without touching the system's own apt.
 *
 * apt-get runs with its lists, caches and package database in a directory of ours, which starts out empty: so apt resolves
 * every library down to libc, and verifies signature and checksums itself with the keys that Debian ships.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../exec/index.ts';

const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

const keyring = (): string => {
  const found = KEYRINGS.find((path) => existsSync(path));
  if (found === undefined) throw new Error('the package debian-archive-keyring is not installed');
  return found;
};

const optionsFor = (root: string): string[] =>
  [
    `Dir::Etc::sourcelist=${root}/sources.list`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::Etc::preferences=/dev/null',
    'Dir::Etc::preferencesparts=/dev/null',
    `Dir::State=${root}/state`,
    `Dir::State::status=${root}/status`,
    `Dir::Cache=${root}/cache`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    'APT::Default-Release=',
  ].flatMap((option) => ['-o', option]);

export interface PrivateApt {
  /** Downloads a package with all it depends on. */
  withDependencies(name: string): Promise<void>;
  /** Downloads one package alone, in exactly this version. */
  alone(name: string, version: string): Promise<void>;
  /** The version of `name` in this suite. */
  versionOf(name: string): Promise<string>;
  /** Paths of the packages downloaded so far. */
  downloaded(): Promise<string[]>;
}

/** Prepares apt for `suite` of the archive at `mirror`, below the empty directory `root`; fetches and verifies its lists. */
export const openSuite = async (root: string, mirror: string, suite: string): Promise<PrivateApt> => {
  const archives = join(root, 'cache/archives');
  await mkdir(join(root, 'state/lists/partial'), { recursive: true });
  await mkdir(join(archives, 'partial'), { recursive: true });
  await writeFile(join(root, 'status'), '');
  await writeFile(join(root, 'sources.list'), `deb [signed-by=${keyring()}] ${mirror} ${suite} main\n`);
  const options = [...optionsFor(root), '--quiet=2'];
  const settings = { cwd: archives, env: { ...process.env, LC_ALL: 'C.UTF-8' } };
  // Without this, apt-get update succeeds with a warning when the network is down.
  await run('apt-get', [...options, '-o', 'APT::Update::Error-Mode=any', 'update'], settings);
  return {
    withDependencies: async (name) => {
      const flags = ['--yes', '--download-only', '--no-install-recommends'];
      await run('apt-get', [...options, ...flags, 'install', name], settings);
    },
    alone: async (name, version) => {
      await run('apt-get', [...options, 'download', `${name}=${version}`], settings);
    },
    versionOf: async (name) => {
      const { stdout } = await run(
        'apt-cache',
        [...optionsFor(root), 'show', '--no-all-versions', name],
        settings,
      );
      const version = /^Version: (\S+)$/m.exec(stdout)?.[1];
      if (version === undefined) throw new Error(`${suite} has no package ${name}`);
      return version;
    },
    downloaded: async () =>
      (await readdir(archives)).filter((name) => name.endsWith('.deb')).map((name) => join(archives, name)),
  };
};
