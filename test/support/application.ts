import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { Client } from '../../src/api/client.ts';
import type {
  AppDetail,
  AppView,
  CheckReport,
  HistoryEntry,
  SleepResult,
  WakeResult,
} from '../../src/api/index.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';

/** A process as `appshot.yaml` describes it. */
export interface LaunchProcess {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly user?: string;
}

/** What to run: one command of root's, or a chain. */
export type Launch =
  | { readonly command: readonly string[]; readonly environment?: Readonly<Record<string, string>> }
  | { readonly processes: Readonly<Record<string, LaunchProcess>> };

/** An application of a lab, driven through the command line alone. */
export interface Application {
  readonly aid: string;
  readonly name: string;
  readonly address: string;
  readonly hostname: string;
  sleep(): Promise<SleepResult>;
  wake(): Promise<WakeResult>;
  check(): Promise<CheckReport>;
  inspect(): Promise<AppDetail>;
  state(): Promise<AppView['state']>;
  /** Oldest first. */
  history(): Promise<HistoryEntry[]>;
  /** Settles when all its snapshots are durable. */
  kept(): Promise<HistoryEntry[]>;
  stop(): Promise<void>;
  /** Ends and removes it, whatever its state. */
  remove(): Promise<void>;
}

const runArguments = (lab: Lab, name: string, launch: Launch, options: readonly string[]): string[] => {
  if ('command' in launch) {
    const environment = Object.entries(launch.environment ?? {}).flatMap(([key, value]) => [
      '--env',
      `${key}=${value}`,
    ]);
    return ['run', '--json', '--name', name, ...environment, ...options, '--', ...launch.command];
  }
  const file = join(lab.directory, `${name}.yaml`);
  // The file's own directory, where they would start, is one that applications do not see.
  const processes = Object.entries(launch.processes).map(([key, process]) => [
    key,
    { working_dir: '/', ...process },
  ]);
  writeFileSync(file, stringify({ name, processes: Object.fromEntries(processes) }));
  return ['run', '--json', '--file', file, ...options];
};

/** An application that exists already. */
export const applicationOf = (lab: Lab, view: AppView): Application => {
  const { aid, name, address, hostname } = view;
  const ask = async <T>(verb: string, ...options: string[]): Promise<T> =>
    (await lab.succeed(verb, '--json', ...options, aid)).json<T>();
  return {
    aid,
    name,
    address,
    hostname,
    sleep: () => ask<SleepResult>('sleep'),
    wake: () => ask<WakeResult>('wake'),
    // It ends with 1 when something blocks.
    check: async () => (await lab.appshot('check', '--json', aid)).json<CheckReport>(),
    inspect: () => ask<AppDetail>('inspect'),
    state: async () => (await ask<AppDetail>('inspect')).state,
    history: () => ask<HistoryEntry[]>('history'),
    kept: () =>
      eventually(
        async () => {
          // Not by the command line, which would take from the machine what it waits for.
          const entries = await new Client(lab.runDirectory).history(aid);
          expect(entries.filter(({ durable }) => !durable)).toEqual([]);
          return entries;
        },
        30_000,
        50,
      ),
    stop: async () => {
      await lab.succeed('stop', aid);
    },
    remove: async () => {
      await lab.succeed('rm', '--force', aid);
    },
  };
};

export const launch = async (
  lab: Lab,
  name: string,
  what: Launch,
  options: readonly string[] = [],
): Promise<Application> => {
  const result = await lab.succeed(...runArguments(lab, name, what, options));
  return applicationOf(lab, result.json<AppView>());
};
