/** The verbs that print as it comes: `logs`, `events`. */
import type { Command } from 'commander';
import type { AppEvent, LogLine } from '../../api/index.ts';
import { sanitiseLine } from '../../common/index.ts';
import { parseNumber } from '../numbers.ts';
import { print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const wholeNumber = parseNumber({ min: 0, max: Number.MAX_SAFE_INTEGER, whole: true });

/** A terminal gets the process's name and nothing that could move its cursor; a file gets the line as it is. */
export const formatLogLine = ({ process, text }: LogLine, isTerminal: boolean): string =>
  isTerminal ? `${sanitiseLine(process)} | ${text.split('\t').map(sanitiseLine).join('\t')}` : text;

interface LogsOptions {
  readonly follow?: boolean;
  readonly process?: string;
  readonly tail?: number;
}

export const addLogsVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'logs <app>',
    does: 'print what the processes of an application wrote',
    example: 'appshot logs --follow --tail 20 web',
  })
    .option('-f, --follow', 'go on with what they write from now on')
    .option('--process <name>', 'only this process of the chain')
    .option('--tail <lines>', 'only the last lines', wholeNumber)
    .action(async (app: string, options: LogsOptions, command: Command) => {
      const globals = globalsOf(command);
      const client = await connect(globals);
      for await (const line of client.logs(app, options)) {
        if (globals.json) printJson(line);
        else print(formatLogLine(line, process.stdout.isTTY));
      }
    });
};

export const formatEvent = ({ id, at, type, name, aid, reason }: AppEvent): string => {
  const parts = [at, `#${id}`, type, name ?? aid, reason];
  return parts
    .filter((part) => part !== undefined)
    .map(sanitiseLine)
    .join('  ');
};

interface EventsOptions {
  readonly follow?: boolean;
  readonly since?: number;
}

export const addEventsVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'events',
    does: 'print what happened to applications since the daemon started',
    example: 'appshot events --follow --json',
  })
    .option('-f, --follow', 'go on with what happens from now on')
    .option('--since <id>', 'only events after this one', wholeNumber)
    .action(async (options: EventsOptions, command: Command) => {
      const globals = globalsOf(command);
      const client = await connect(globals);
      for await (const event of client.events(options)) {
        if (globals.json) printJson(event);
        else print(formatEvent(event));
      }
    });
};
