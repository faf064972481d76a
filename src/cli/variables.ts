/** The environment of a program, which like a container's has nothing of the caller's. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { AppShotError } from '../common/index.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** `K=V` words as a record; a lone `K` takes the caller's value, as with Docker. */
export const readAssignments = (words: readonly string[]): Record<string, string> =>
  Object.fromEntries(words.map(readAssignment));

const readAssignment = (word: string): [name: string, value: string] => {
  const [, name = '', assigned] = /^([^=]*)(?:=([^]*))?$/.exec(word) ?? [];
  const value = assigned ?? process.env[name];
  if (name !== '' && value !== undefined) return [name, value];
  const reason =
    name === '' ? `'${word}' is not K=V` : `--env ${name} has no value, and the caller has none either`;
  throw new AppShotError('USAGE', { reason });
};

/** The lines `K=V` of a file, with quotes and comments as in `.env` files. */
export const readEnvironmentFile = (path: string): Record<string, string> =>
  parseEnv(readText(path)) as Record<string, string>;

/** A file that the user named. */
export const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : (error as Error).message;
    throw new AppShotError('USAGE', { reason: `${path} cannot be read: ${reason}` }, { cause: error });
  }
};

/** The home directory of a user (`name`, `uid`, either with `:group`) of this machine; `/` for one that is not in its list. */
const homeOf = (user: string): string => {
  const [wanted] = user.split(':');
  const entries = readText('/etc/passwd')
    .split('\n')
    .map((line) => line.split(':'));
  return entries.find(([name, , uid]) => name === wanted || uid === wanted)?.[5] || '/';
};

/** What every program finds in its environment unless it is told otherwise. */
export const defaultVariables = (user = '0'): Record<string, string> => ({ PATH, HOME: homeOf(user) });
