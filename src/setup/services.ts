/**
 * Keeps packages from starting their services, while they're installed and later.
 *
 * Debian's maintainer scripts ask /usr/sbin/policy-rc.d before they start anything; exit code 101 forbids it. A policy that the
 * machine has already is set aside meanwhile and put back afterwards, or by the next set-up if this one is killed.
 */
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { run } from '../exec/index.ts';

const POLICY = '/usr/sbin/policy-rc.d';
const MARK = '# Written by `appshot setup` while it installs packages.';
const FORBID_ALL = `#!/bin/sh\n${MARK}\nexit 101\n`;

const isOurs = async (policy: string): Promise<boolean> =>
  existsSync(policy) && (await readFile(policy, 'utf8')).includes(MARK);

const putBack = async (policy: string, saved: string): Promise<void> => {
  if (await isOurs(policy)) await rm(policy);
  if (existsSync(saved)) await rename(saved, policy);
};

/** Calls `work` while no service may be started by a package. `policy` is the file that Debian's scripts ask. */
export const withoutServices = async <T>(work: () => Promise<T>, policy: string = POLICY): Promise<T> => {
  const saved = `${policy}.before-appshot`;
  await putBack(policy, saved);
  if (existsSync(policy)) await rename(policy, saved);
  try {
    await writeFile(policy, FORBID_ALL, { mode: 0o755 });
    return await work();
  } finally {
    await putBack(policy, saved);
  }
};

/**
 * The machine does not start these services by itself, under systemd and under its predecessor; whoever wants one enables it. Both tools are
 * of `init-system-helpers`, which Debian's maintainer scripts rely on, and work where no init runs. `root` is another root directory.
 */
export const keepFromStarting = async (services: readonly string[], root = ''): Promise<void> => {
  for (const service of services) {
    // The first speaks to maintainer scripts alone.
    const env = { ...process.env, DPKG_ROOT: root, DPKG_MAINTSCRIPT_PACKAGE: service };
    await run('deb-systemd-helper', ['disable', `${service}.service`], { env });
    // 1: there is no script of this name.
    await run('update-rc.d', [service, 'disable'], { env, acceptExit: [0, 1] });
  }
};
