import { readdirSync } from 'node:fs';
import { expect } from 'vitest';
import {
  cgroupRootsOf,
  cgroupsOf,
  descriptorsOf,
  linksOf,
  loopsOf,
  mountsOf,
  processesOf,
  stagesOf,
  systemVObjects,
} from './belongings.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';

/** What a lab with a running daemon has on the machine, without the numbers and names that differ each time. */
export interface Inventory {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  /** Files of templates, and small disks. */
  readonly loops: readonly string[];
  readonly links: readonly string[];
  readonly cgroups: readonly string[];
  readonly systemV: readonly string[];
  readonly environments: readonly string[];
  readonly descriptors: readonly string[];
  /** Dumps that are not durable yet. */
  readonly staged: readonly string[];
}

/** ULIDs, hexadecimal and decimal numbers become stars, so that one environment looks like the next. */
const anonymous = (text: string): string =>
  text
    .replaceAll(/[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8,}|[0-9a-f]*\d[0-9a-f]*/g, '*')
    .replaceAll(/\*(-\*)+/g, '*');

const sorted = (lab: Lab, texts: readonly string[]): string[] =>
  texts.map((text) => anonymous(text.replaceAll(lab.directory, 'LAB'))).toSorted();

/** The lab's inventory now. */
const inventory = async (lab: Lab): Promise<Inventory> => {
  const daemon = lab.daemonPid();
  const processes = processesOf(lab).filter((one) => !one.client);
  return {
    processes: sorted(
      lab,
      processes.map((one) => one.command),
    ),
    mounts: sorted(lab, mountsOf(lab, daemon)),
    loops: sorted(lab, loopsOf(lab)),
    links: sorted(lab, await linksOf(lab, 'veth')),
    cgroups: sorted(lab, cgroupsOf(cgroupRootsOf(processes))),
    systemV: systemVObjects(),
    environments: sorted(lab, readdirSync(lab.runDirectory, { recursive: true }).map(String)),
    descriptors: sorted(lab, descriptorsOf(daemon)),
    staged: stagesOf(lab).flatMap((stage) => readdirSync(stage)),
  };
};

/**
 * The inventory once it has stayed the same for a while: the daemon fills its pool in the background. A first application has come
 * and gone by then, since what a daemon opens once and keeps is no leak.
 */
export const settledInventory = async (lab: Lab): Promise<Inventory> => {
  await lab.succeed('run', '--name', 'first', '--', 'sleep', '600');
  await lab.succeed('rm', '--force', 'first');
  let last: Inventory | undefined;
  return eventually(
    async () => {
      const before = last;
      last = await inventory(lab);
      expect(last).toEqual(before);
      return last;
    },
    20_000,
    500,
  );
};

/** Nothing is left of applications that sleep or are gone: the lab is as it was with none and a full pool. */
export const expectNothingLeft = async (lab: Lab, baseline: Inventory): Promise<void> => {
  await eventually(async () => expect(await inventory(lab)).toEqual(baseline), 10_000, 50);
};
