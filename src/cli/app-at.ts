import { AppShotError } from '../common/index.ts';

export interface AppAt {
  readonly app: string;
  readonly snapshot?: string;
}

/** `web` or `web@01JD4Y`: an application, perhaps at one of its snapshots. */
export const readAppAt = (word: string): AppAt => {
  const at = word.indexOf('@');
  if (at === -1) return { app: word };
  const [app, snapshot] = [word.slice(0, at), word.slice(at + 1)];
  if (app !== '' && /^[0-9A-Za-z]{1,26}$/.test(snapshot)) return { app, snapshot };
  throw new AppShotError('USAGE', { reason: `'${word}' is neither APP nor APP@SNAPSHOT` });
};
