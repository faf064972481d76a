/** The verbs of an application's past: `snapshot`, `history`, `diff`, `rewind`, `fork`. */
import type { Command } from 'commander';
import type { ForkResult, HistoryEntry, RewindResult, SnapshotResult } from '../../api/index.ts';
import { formatDuration, formatSize, parseDuration, sanitiseLine } from '../../common/index.ts';
import { readAppAt } from '../app-at.ts';
import { changeAll } from '../change-all.ts';
import { formatMs, parseWith } from '../numbers.ts';
import { formatTable, print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const tellSnapshot = ({ name, snapshot, bytes, ms, frozenMs }: SnapshotResult): string =>
  `${name} saved as ${snapshot}, ${formatSize(bytes)} in ${formatMs(ms)} (frozen for ${formatMs(frozenMs)}); it goes on`;

interface SnapshotOptions {
  readonly pin?: true;
  /** Seconds. */
  readonly ttl?: number;
}

const addSnapshot = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'snapshot <app...>',
    does: 'save applications, which go on running',
    example: 'appshot snapshot web\nappshot snapshot --ttl 7d web',
  });
  verb
    .option('--pin', 'keep it, whatever the rules of the daemon say')
    .option('--ttl <duration>', 'let it go after so long', parseWith(parseDuration))
    .action((apps: string[], { pin, ttl }: SnapshotOptions, command: Command) => {
      // Commander knows conflicts by the option's key, but words them less well.
      if (pin === true && ttl !== undefined) command.error('error: --pin and --ttl exclude each other');
      const body = { ...(pin === undefined ? {} : { pin }), ...(ttl === undefined ? {} : { ttl }) };
      return changeAll(apps, command, {
        label: 'saving',
        apply: (client, app) => client.takeSnapshot(app, body),
        tell: tellSnapshot,
      });
    });
};

const ageOf = (time: string, now: number): string =>
  formatDuration(Math.max(0, Math.floor((now - Date.parse(time)) / 1000)));

const tellRetention = ({ pinned, expiresAt }: HistoryEntry, now: number): string => {
  if (pinned) return 'pinned';
  return expiresAt === null ? '' : `for ${formatDuration(Math.max(0, (Date.parse(expiresAt) - now) / 1000))}`;
};

const tellMemory = ({ memory: { layered, copied } }: HistoryEntry): string =>
  copied === 0 ? formatSize(layered) : `${formatSize(layered)} + ${formatSize(copied)} copied`;

/** @param entries oldest first, as the daemon answers; a table begins with what is nearest */
export const formatHistory = (entries: readonly HistoryEntry[], now: number): string =>
  formatTable(
    ['', 'SNAPSHOT', 'AGE', 'KIND', 'WRITTEN', 'MEMORY', 'KEPT', 'PARENT'],
    entries
      .toReversed()
      .map((entry) => [
        entry.current ? '*' : '',
        entry.snapshot,
        ageOf(entry.takenAt, now),
        entry.durable ? entry.kind : `${entry.kind} (being written)`,
        formatSize(entry.bytes),
        tellMemory(entry),
        tellRetention(entry, now),
        entry.parent ?? '',
      ]),
  );

const addHistory = (program: Command): void => {
  addVerb(program, {
    usage: 'history <app>',
    does: 'list the snapshots of an application, latest first (with --json latest last)',
    example: "appshot history web\nappshot history web --json | jq -r '.[-1].snapshot'",
  }).action(async (app: string, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const entries = await (await connect(globals)).history(app);
    if (globals.json) printJson(entries);
    else print(formatHistory(entries, Date.now()));
  });
};

const addDiff = (program: Command): void => {
  addVerb(program, {
    usage: 'diff <app> <from> [to]',
    does: 'show what changed between two snapshots of an application; without the second, up to the latest',
    example: 'appshot diff web 01JD4YJ6 01JD4YK9',
  }).action(async (app: string, from: string, to: string | undefined, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const client = await connect(globals);
    const report = await withProgress(`comparing snapshots of ${app}`, client.diff(app, { from, to }));
    if (globals.json) return printJson(report);
    const { formatDiff } = await import('./diff.ts');
    return print(formatDiff(report));
  });
};

/** A line for each connection that could not go on, or none. */
const tellClosed = (closed: ForkResult['closed']): string =>
  closed
    .map(({ local, remote }) => sanitiseLine(`closed ${local} - ${remote}: the other end has gone on`))
    .map((line) => `\n${line}`)
    .join('');

export const tellRewind = ({ name, state, snapshot, closed, ms }: RewindResult): string =>
  `${name} ${state}, rewound to ${snapshot} in ${formatMs(ms)}${tellClosed(closed)}`;

const addRewind = (program: Command): void => {
  addVerb(program, {
    usage: 'rewind <app> <snapshot>',
    does: 'bring an application back to one of its snapshots, memory and files; asks nothing',
    example: 'appshot snapshot web && appshot rewind web 01JD4YJ6',
  }).action(async (app: string, snapshot: string, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const client = await connect(globals);
    const result = await withProgress(`rewinding ${app}`, client.rewind(app, { snapshot }));
    if (globals.json) printJson(result);
    else print(tellRewind(result));
  });
};

const tellFork = ({ name, state, address, snapshot, closed, ms }: ForkResult): string =>
  `${name} ${state} ${address}, forked from ${snapshot} in ${formatMs(ms)}${tellClosed(closed)}`;

interface ForkOptions {
  readonly name: string;
  readonly hostname?: string;
}

const addFork = (program: Command): void => {
  addVerb(program, {
    usage: 'fork <app[@snapshot]>',
    does: 'start a new application from a snapshot of another, the latest unless one is named',
    example: 'appshot fork web@01JD4YJ6 --name web-then',
  })
    .requiredOption('-n, --name <name>', 'name of the new application')
    .option('--hostname <name>', 'host name inside (default: the name)')
    .action(async (word: string, { name, hostname }: ForkOptions, command: Command) => {
      const globals = globalsOf(command);
      const { app, ...from } = readAppAt(word);
      const body = { ...from, name, ...(hostname === undefined ? {} : { hostname }) };
      const client = await connect(globals);
      const result = await withProgress(`forking ${app}`, client.fork(app, body));
      if (globals.json) printJson(result);
      else print(tellFork(result));
    });
};

export const addHistoryVerbs = (program: Command): void => {
  addSnapshot(program);
  addHistory(program);
  addDiff(program);
  addRewind(program);
  addFork(program);
};
