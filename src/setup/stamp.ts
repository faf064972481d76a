/**
 * The stamp: what set-up last left the machine in. When the machine is still like that, there is nothing to do, and neither apt
 * nor CRIU is asked.
 */
import { stat } from 'node:fs/promises';
import { machine, release } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeAtomically } from '../common/index.ts';
import { hashOfSource } from './init-program.ts';

const stampSchema = z.object({
  format: z.literal(1),
  kernel: z.string(),
  machine: z.string(),
  /** Hash of the init's source. */
  init: z.string(),
  /** Time of change and size of dpkg's database: a package that comes or goes changes them. */
  dpkg: z.string(),
  /** Packages that were found or installed. */
  packages: z.array(z.string()),
});

export type Stamp = z.infer<typeof stampSchema>;

const DPKG_DATABASE = '/var/lib/dpkg/status';

const stampFile = (directory: string): string => join(directory, 'stamp.json');

/** The state of this machine, with these packages needed. Throws an Error where there is no dpkg. */
export const currentStamp = async (packages: readonly string[]): Promise<Stamp> => {
  const dpkg = await stat(DPKG_DATABASE).catch((cause: unknown) => {
    throw new Error(`set-up works on Debian and its kin: there is no ${DPKG_DATABASE} here`, { cause });
  });
  return {
    format: 1,
    kernel: release(),
    machine: machine(),
    init: await hashOfSource(),
    dpkg: `${dpkg.mtimeMs} ${dpkg.size}`,
    packages: [...packages],
  };
};

/** Whether a set-up that left `last` has done everything that `now` asks for. */
export const covers = (last: Stamp | undefined, now: Stamp): boolean => {
  if (last === undefined) return false;
  const { packages: had, ...then } = last;
  const { packages: need, ...today } = now;
  return JSON.stringify(then) === JSON.stringify(today) && need.every((name) => had.includes(name));
};

/** The stamp of the last set-up that ended well; undefined when there is none or it cannot be understood. */
export const readStamp = async (directory: string): Promise<Stamp | undefined> => {
  try {
    return stampSchema.parse(await readJson(stampFile(directory)));
  } catch {
    return undefined;
  }
};

export const writeStamp = (directory: string, stamp: Stamp): Promise<void> =>
  writeAtomically(stampFile(directory), `${JSON.stringify(stamp, null, 2)}\n`, 0o644);
