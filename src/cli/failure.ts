/** How the command line tells of a failure: one line for people, one line of JSON for scripts, an exit code from the registry. */
import type { CommanderError } from 'commander';
import { AppShotError, sanitiseLine, toAppShotError } from '../common/index.ts';

/** A commander error in the registry's words: `error: unknown option '--foo'\n(Did you mean --force?)` in one line. */
export const toUsageError = (error: CommanderError): AppShotError => {
  const reason = error.message
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ');
  return new AppShotError('USAGE', { reason }, { cause: error });
};

/** What, why and what to do in one line, with the stable code. */
export const formatFailure = ({ code, message, hint }: AppShotError): string =>
  sanitiseLine(`appshot: ${message}; ${hint} [${code}]`);

/** Prints the failure to standard error; the exit code. */
export const reportFailure = (thrown: unknown, json: boolean): number => {
  const error = toAppShotError(thrown);
  const line = json ? JSON.stringify({ error: error.toBody() }) : formatFailure(error);
  process.stderr.write(`${line}\n`);
  return error.spec.exit;
};
