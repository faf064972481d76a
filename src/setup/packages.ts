/**
 * Debian packages: which ones are needed, which are missing, installing them without starting a service.
 *
 * apt is asked only for what dpkg does not have, and its lists are renewed only when it cannot install from those it has.
 */
import { run } from '../exec/index.ts';
import { keepFromStarting, withoutServices } from './services.ts';
import type { Report } from './steps.ts';

/**
 * For running: a compiler for the environments' init, the library behind packet filter rules, the keys that sign Debian's
 * archives, the web gateway, and the tools that set-up itself calls.
 */
const RUNNING = [
  'debian-archive-keyring',
  'e2fsprogs',
  'gcc',
  'gpgv',
  'haproxy',
  'libc6-dev',
  'libnftables1',
  'util-linux',
] as const;

/** For the demo, the tests and the benchmarks: the programs that are put to sleep, their clients, and tools that measure. */
const TESTING = [
  'caddy',
  'curl',
  'default-jdk-headless',
  'docker-registry',
  'etcd-client',
  'etcd-server',
  'iperf3',
  'iproute2',
  'nginx-light',
  'perl',
  'postgresql',
  'postgresql-client',
  'procps',
  'python3',
  'redis-server',
  'redis-tools',
  'strace',
  'wrk',
] as const;

export const neededPackages = (testing: boolean): string[] => [...RUNNING, ...(testing ? TESTING : [])];

/** Reads `dpkg-query` lines of `name status`; returns those of `needed` that are not installed. */
export const missingAmong = (needed: readonly string[], printed: string): string[] => {
  const installed = new Set(
    printed
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.slice(0, line.indexOf(' '))),
  );
  return needed.filter((name) => !installed.has(name));
};

/** What would take the ports of the web gateway, when the machine is started the next time. */
const SERVICES: ReadonlyMap<string, string> = new Map([
  ['caddy', 'caddy'],
  ['haproxy', 'haproxy'],
  ['nginx-light', 'nginx'],
]);

const missingPackages = async (needed: readonly string[]): Promise<string[]> => {
  // Exit code 1 says that dpkg does not know one of the names; that one is then missing from the output.
  const { stdout } = await run(
    'dpkg-query',
    ['--show', '--showformat=${Package} ${db:Status-Status}\\n', ...needed],
    { acceptExit: [0, 1] },
  );
  return missingAmong(needed, stdout);
};

const APT = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' } };
const APT_OPTIONS = ['--yes', '--quiet=2', '-o', 'DPkg::Lock::Timeout=300'];

/** Renews apt's lists of packages. */
export const updateLists = async (): Promise<void> => {
  await run('apt-get', ['update', ...APT_OPTIONS], APT);
};

const install = async (names: readonly string[]): Promise<void> => {
  const settings = ['--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold'];
  await run('apt-get', ['install', ...APT_OPTIONS, ...settings, ...names], APT);
};

/** Installs what is missing of `needed`; returns the names that it installed. */
export const installMissing = async (needed: readonly string[], report: Report): Promise<string[]> => {
  const missing = await missingPackages(needed);
  if (missing.length === 0) return missing;
  report({ name: 'packages', state: 'begun', detail: missing.join(' ') });
  await withoutServices(async () => {
    // Lists that are missing or out of date make the first attempt fail before it changes anything.
    await install(missing).catch(async () => {
      await updateLists();
      await install(missing);
    });
  });
  await keepFromStarting(missing.flatMap((name) => SERVICES.get(name) ?? []));
  return missing;
};
