/** Users by name, from /etc/passwd and /etc/group as applications see them too. */
import { readFileSync } from 'node:fs';
import { AppShotError } from '../common/index.ts';

export interface User {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly home: string;
}

const LARGEST_ID = 0xfffffffe;

const rows = (path: string): string[][] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => line.split(':'));

const asId = (text: string): number | undefined =>
  /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID ? Number(text) : undefined;

/** `name`, `name:group`, `uid` or `uid:gid`; root without one. Fails with `BAD_USER`. */
export const findUser = (wanted = '0'): User => {
  const [name = '', group, ...more] = wanted.split(':');
  const refuse = (): AppShotError => new AppShotError('BAD_USER', { user: wanted });
  const passwd = rows('/etc/passwd').find((row) => row[0] === name || row[2] === name);
  const uid = asId(passwd?.[2] ?? name);
  if (uid === undefined || more.length > 0) throw refuse();
  const groups = rows('/etc/group');
  const named = group === undefined ? passwd?.[3] : (groups.find((row) => row[0] === group)?.[2] ?? group);
  const gid = asId(named ?? String(uid));
  if (gid === undefined) throw refuse();
  // Who is not in passwd has no name, and is in no group by it.
  const supplementary = groups
    .filter((row) => passwd && row[3]?.split(',').includes(passwd[0] ?? ''))
    .map((row) => Number(row[2]));
  return { uid, gid, groups: [...new Set([gid, ...supplementary])], home: passwd?.[5] || '/' };
};
