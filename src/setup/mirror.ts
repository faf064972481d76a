/**
 * Finds the mirror of Debian's archive that this machine uses, in apt's own configuration.
 *
 * apt itself is asked, so lists of either form, several files and options all count.
 */
import { run } from '../exec/index.ts';
import { updateLists } from './packages.ts';

const FORMAT = '$(ORIGIN) $(RELEASE) $(REPO_URI)';

/**
 * From lines of `origin release address`: the address of the first archive of Debian's that is a whole release. Security,
 * updates and backports (`bookworm-security`, ...) often live elsewhere and do not hold other suites.
 */
export const mirrorAmong = (printed: string): string | undefined =>
  printed
    .split('\n')
    .map((line) => line.trim().split(' '))
    .find(([origin, release]) => origin === 'Debian' && release !== undefined && !release.includes('-'))?.[2];

const listed = async (): Promise<string | undefined> => {
  const { stdout } = await run('apt-get', ['indextargets', '--format', FORMAT, 'Created-By: Packages']);
  return mirrorAmong(stdout);
};

/** The address of the mirror. Throws an Error that says what to add when apt knows none. */
export const findMirror = async (): Promise<string> => {
  const known = await listed();
  if (known !== undefined) return known;
  // Who an archive belongs to is known only once apt has fetched its release file.
  await updateLists();
  const found = await listed();
  if (found === undefined) {
    throw new Error("apt's sources name no archive of Debian's; add one in /etc/apt/sources.list.d");
  }
  return found;
};
