/**
 * Keeps packages from starting their services while they're installed.
 *
 * Debian's maintainer scripts ask /usr/sbin/policy-rc.d before they start anything; exit code 101 forbids it. A policy that the
 * machine has already is set aside meanwhile and put back afterwards, or by the next set-up if this one is killed.
 */
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';

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
