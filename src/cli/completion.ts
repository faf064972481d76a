/**
 * Completion in the shell: `appshot completion bash` prints what the shell reads once; from then on it asks `appshot complete --
 * WORDS` for verbs, options, the names of applications and templates, and the IDs of snapshots.
 */
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { AppView, Client, HistoryEntry } from '../api/index.ts';
import { addVerb, connect, globalsOf } from './verb.ts';

const SHELLS = ['bash', 'zsh', 'fish'];
/** Longer than this nobody waits for a suggestion. */
const PATIENCE_MS = 1000;

/** Arguments that name an application, and those that name one of its snapshots. */
const APP = ['app', 'app[@snapshot]'];
const SNAPSHOT = ['snapshot', 'from', 'to'];

/** What to suggest; nothing when no daemon answers: a shell that completes shows no errors. */
const ask = async <T>(command: Command, question: (client: Client, signal: AbortSignal) => Promise<T[]>) => {
  try {
    return await question(await connect(globalsOf(command)), AbortSignal.timeout(PATIENCE_MS));
  } catch {
    return [];
  }
};

/** The snapshots of the application that stands before them, or of all where none does. */
const listSnapshots = async (
  [, app = '']: readonly string[],
  isAfterApp: boolean,
  apps: readonly AppView[],
  command: Command,
): Promise<HistoryEntry[]> => {
  const names = isAfterApp ? [app] : apps.map(({ aid }) => aid);
  const histories = names.map((name) => ask(command, (client, signal) => client.history(name, { signal })));
  return (await Promise.all(histories)).flat();
};

/** @param build makes the program whose words are suggested */
const suggest = async (words: string[], command: Command, build: () => Command): Promise<void> => {
  const { default: tab } = await import('@bomb.sh/tab/commander');
  const root = tab(build(), { completionCommandName: 'completion' });
  const apps = await ask(command, (client, signal) => client.apps({ all: true, signal }));
  for (const name of APP)
    for (const verb of root.commands.values()) {
      const argument = verb.arguments.get(name);
      if (argument) argument.handler = (complete) => apps.forEach((app) => complete(app.name, app.state));
    }
  const templates = await ask(command, (client, signal) => client.templates({ signal }));
  for (const verb of root.commands.values()) {
    const argument = verb.arguments.get('template');
    if (argument)
      argument.handler = (complete) => templates.forEach(({ name, from }) => complete(name, from.name));
  }
  const verb = root.commands.get(words[0] ?? '');
  const places = SNAPSHOT.flatMap((name) => verb?.arguments.get(name) ?? []);
  if (verb && places.length > 0) {
    const snapshots = await listSnapshots(words, verb.arguments.has('app'), apps, command);
    for (const place of places)
      place.handler = (complete) =>
        snapshots.forEach(({ snapshot, kind, takenAt }) => complete(snapshot, `${kind} ${takenAt}`));
  }
  root.parse(words);
};

export const addCompletionVerbs = (program: Command, build: () => Command): void => {
  addVerb(program, {
    usage: 'completion',
    does: 'print what a shell reads to complete the words of this command',
    example: 'source <(appshot completion bash)',
  })
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action(async (shell: string) => {
      const { script } = await import('@bomb.sh/tab');
      script(shell, 'appshot', 'appshot');
    });
  program
    .command('complete [words...]', { hidden: true })
    .action((words: string[], _: unknown, command: Command) => suggest(words, command, build));
};
