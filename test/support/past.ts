/** The verbs of an application's past, as the command line prints what comes of them. */
import type {
  DiffReport,
  ForkResult,
  HistoryEntry,
  RewindResult,
  SnapshotResult,
} from '../../src/api/index.ts';
import { applicationOf } from './application.ts';
import type { Application } from './application.ts';
import { eventually } from './eventually.ts';
import { expect } from 'vitest';
import type { Lab } from './lab.ts';

export interface Past {
  snapshot(...options: string[]): Promise<SnapshotResult>;
  /** Oldest first. */
  history(): Promise<HistoryEntry[]>;
  /** The history once all of it is durable. */
  settled(): Promise<HistoryEntry[]>;
  diff(from: string, to?: string): Promise<DiffReport>;
  rewind(snapshot: string): Promise<RewindResult>;
  /** From a snapshot of this application, or from what it is now. */
  fork(name: string, snapshot?: string): Promise<Application & Pick<ForkResult, 'closed' | 'snapshot'>>;
}

export const pastOf = (lab: Lab, { name }: Pick<Application, 'name'>): Past => {
  const ask = async <T>(...words: string[]): Promise<T> => (await lab.succeed(...words, '--json')).json<T>();
  const history = (): Promise<HistoryEntry[]> => ask('history', name);
  return {
    snapshot: (...options) => ask('snapshot', ...options, name),
    history,
    settled: () =>
      eventually(
        async () => {
          const entries = await history();
          expect(entries.filter(({ durable }) => !durable)).toEqual([]);
          return entries;
        },
        20_000,
        200,
      ),
    diff: (from, to) => ask('diff', name, from, ...(to === undefined ? [] : [to])),
    rewind: (snapshot) => ask('rewind', name, snapshot),
    fork: async (twin, snapshot) => {
      const made = await ask<ForkResult>(
        'fork',
        snapshot === undefined ? name : `${name}@${snapshot}`,
        '--name',
        twin,
      );
      return { ...applicationOf(lab, made), closed: made.closed, snapshot: made.snapshot };
    },
  };
};
