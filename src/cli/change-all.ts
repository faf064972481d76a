/** The verbs that do the same to several things. */
import type { Command } from 'commander';
import type { Client } from '../api/index.ts';
import { reportFailure } from './failure.ts';
import { print, printJson } from './output.ts';
import { withProgress } from './progress.ts';
import { connect, globalsOf } from './verb.ts';

export interface Change<T> {
  readonly label: string;
  readonly apply: (client: Client, item: string) => Promise<T>;
  readonly tell: (result: T) => string;
}

/** Goes on after a failure, and fails if there was one. */
export const changeAll = async <T>(
  items: readonly string[],
  command: Command,
  change: Change<T>,
): Promise<void> => {
  const globals = globalsOf(command);
  const client = await connect(globals);
  for (const item of items) {
    try {
      const result = await withProgress(`${change.label} ${item}`, change.apply(client, item));
      if (globals.json) printJson(result);
      else print(change.tell(result));
    } catch (error) {
      process.exitCode = reportFailure(error, globals.json);
    }
  }
};
