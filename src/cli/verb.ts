/** What every verb has in common: `--json`, `--run-dir`, an example in its help, and how it reaches the daemon. */
import type { Command } from 'commander';
import type { Client } from '../api/index.ts';

export interface Globals {
  readonly json: boolean;
  /** Where the daemon's socket is. */
  readonly runDir: string;
}

const DEFAULT_RUN_DIR = '/run/appshot';

export interface VerbHelp {
  /** As commander reads it: `sleep <app...>`. */
  readonly usage: string;
  readonly does: string;
  readonly example: string;
}

/** Options may stand before the verb or after it. */
export const addGlobalOptions = (command: Command): Command =>
  command
    .option('--json', 'print JSON, errors too')
    .option(
      '--run-dir <dir>',
      `directory of the daemon's socket (default: $APPSHOT_RUN_DIR or ${DEFAULT_RUN_DIR})`,
    );

export const addVerb = (program: Command, { usage, does, example }: VerbHelp): Command =>
  addGlobalOptions(program.command(usage))
    .description(does)
    .addHelpText('after', `\nExample:\n  ${example.replaceAll('\n', '\n  ')}`);

export const globalsOf = (command: Command): Globals => {
  const { json = false, runDir } = command.optsWithGlobals<{ json?: boolean; runDir?: string }>();
  return { json, runDir: runDir ?? (process.env['APPSHOT_RUN_DIR'] || DEFAULT_RUN_DIR) };
};

export const connect = async ({ runDir }: Globals): Promise<Client> => {
  const { Client } = await import('../api/client.ts');
  return new Client(runDir);
};
