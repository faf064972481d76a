import { Command, CommanderError } from 'commander';
import { addCompletionVerbs } from './completion.ts';
import { reportFailure, toUsageError } from './failure.ts';
import { endOnClosedPipe, print } from './output.ts';
import { addGlobalOptions } from './verb.ts';
import { addDaemonVerb } from './verbs/daemon.ts';
import { addExecVerb } from './verbs/exec.ts';
import { addHistoryVerbs } from './verbs/history.ts';
import { addMachineVerbs } from './verbs/machine.ts';
import { addNetworkVerbs } from './verbs/networks.ts';
import { addMapVerb } from './verbs/map.ts';
import { addPortsVerb } from './verbs/ports.ts';
import { addSchemaVerb } from './verbs/schema.ts';
import { addRunVerb } from './verbs/run.ts';
import { addSnapshotVerbs } from './verbs/snapshots.ts';
import { addStateVerbs } from './verbs/states.ts';
import { addEventsVerb, addLogsVerb } from './verbs/streams.ts';
import { addTemplateVerbs } from './verbs/templates.ts';
import { addTopVerb } from './verbs/top.ts';
import { addTransferVerbs } from './verbs/transfers.ts';
import { addViewVerbs } from './verbs/views.ts';

const USAGE_EXIT = 2;

/** The whole command line, without completion (which needs it). */
const buildProgram = (): Command => {
  const program = new Command('appshot')
    .description(
      'Saves running applications, frees the machine, and brings them back with their next packet.',
    )
    .option('-V, --version', 'print the version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  addGlobalOptions(program);
  addRunVerb(program);
  addViewVerbs(program);
  addMapVerb(program);
  addLogsVerb(program);
  addExecVerb(program);
  addStateVerbs(program);
  addHistoryVerbs(program);
  addSnapshotVerbs(program);
  addTransferVerbs(program);
  addTemplateVerbs(program);
  addNetworkVerbs(program);
  addPortsVerb(program);
  addEventsVerb(program);
  addTopVerb(program);
  addDaemonVerb(program);
  addMachineVerbs(program);
  addSchemaVerb(program);
  return program;
};

/** Whether `--json` was asked for, when the words could not be parsed: what follows `--` is another program's. */
const wantsJson = (words: readonly string[]): boolean => {
  const end = words.indexOf('--');
  return words.slice(0, end === -1 ? undefined : end).includes('--json');
};

const reportAny = (error: unknown, words: readonly string[]): number => {
  if (!(error instanceof CommanderError)) return reportFailure(error, wantsJson(words));
  // Help that was asked for is no failure; help because no verb was given is.
  if (error.exitCode === 0) return 0;
  return error.code === 'commander.help' ? USAGE_EXIT : reportFailure(toUsageError(error), wantsJson(words));
};

/** Runs one command line; the exit code: 0, 1 (failed), 2 (usage), or that of a program run by `exec`. */
export const main = async (words: readonly string[]): Promise<number> => {
  endOnClosedPipe();
  if (words[0] === '--version' || words[0] === '-V') {
    const { VERSION } = await import('../api/client.ts');
    print(VERSION);
    return 0;
  }
  const program = buildProgram();
  addCompletionVerbs(program, buildProgram);
  try {
    await program.parseAsync(words, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return reportAny(error, words);
  }
};
