/** Turns whatever went wrong in a step into one error that names the step, the reason and what to do. */
import { AppShotError } from '../common/index.ts';

const NO_SPACE = /no space left on device|disk quota exceeded|You don't have enough free space/i;
const NO_NETWORK =
  /Could not resolve|Temporary failure resolving|Could not connect|Cannot initiate the connection|Network is unreachable|Connection timed out|Connection refused/i;
/** Lines in which apt and gcc say what is wrong, among all that they print. */
const TELLING = /^(E:|W: GPG error|Err:|.*\berror:)/;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const evidenceOf = (error: unknown): string => {
  if (error instanceof AppShotError && typeof error.details['stderr'] === 'string')
    return error.details['stderr'];
  return messageOf(error);
};

const isAptError = (error: unknown): boolean =>
  error instanceof AppShotError && error.details['tool'] === 'apt-get';

/** The reason in one line: the telling lines of a tool's errors where there are any, else the message. */
const reasonOf = (error: unknown): string => {
  const evidence = evidenceOf(error);
  const telling = evidence.split('\n').filter((line) => TELLING.test(line));
  const reason = telling.length > 0 ? telling.slice(0, 3).join('; ') : messageOf(error);
  return isAptError(error) && NO_NETWORK.test(evidence)
    ? `the package mirror cannot be reached (check the network, or the proxy in apt's configuration): ${reason}`
    : reason;
};

const isNoSpace = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOSPC';

const isOurs = (error: unknown): error is AppShotError =>
  error instanceof AppShotError && (error.code === 'SETUP_FAILED' || error.code === 'NO_SPACE');

/** `SETUP_FAILED`, or `NO_SPACE` when the disk is full; an error that is one of these already stays as it is. */
export const setupFailure = (step: string, error: unknown, path: string): AppShotError => {
  if (isOurs(error)) return error;
  const full = isNoSpace(error) || NO_SPACE.test(evidenceOf(error));
  const details = error instanceof AppShotError ? error.details : {};
  return full
    ? new AppShotError('NO_SPACE', { path, step }, { cause: error, details })
    : new AppShotError('SETUP_FAILED', { step, reason: reasonOf(error) }, { cause: error, details });
};
