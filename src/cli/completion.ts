/**
 * Completion in the shell: `appshot completion bash` prints what the shell reads once; from then on it asks `appshot complete --
 * WORDS` for verbs, options and the names of applications.
 */
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { AppView } from '../api/index.ts';
import { addVerb, connect, globalsOf } from './verb.ts';

const SHELLS = ['bash', 'zsh', 'fish'];
/** Longer than this nobody waits for a suggestion. */
const PATIENCE_MS = 1000;

/** Names to suggest; none when no daemon answers: a shell that completes shows no errors. */
const listApps = async (command: Command): Promise<AppView[]> => {
  try {
    const client = await connect(globalsOf(command));
    return await client.apps({ all: true, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    return [];
  }
};

/** @param build makes the program whose words are suggested */
const suggest = async (words: string[], command: Command, build: () => Command): Promise<void> => {
  const { default: tab } = await import('@bomb.sh/tab/commander');
  const root = tab(build(), { completionCommandName: 'completion' });
  const apps = await listApps(command);
  for (const verb of root.commands.values()) {
    const argument = verb.arguments.get('app');
    if (argument === undefined) continue;
    argument.handler = (complete) => apps.forEach(({ name, state }) => complete(name, state));
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
