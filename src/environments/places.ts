/**
 * Gives an application places of its own: dynamic symbolic links, and redirections, whose targets hold its name or address and so are
 * its own and nobody else's.
 *
 * A link is a symbolic link among the application's files. A redirection leaves the name alone; its target covers it once the
 * root is in its place (native/mounts.c). Both need a target that is there and holds what the application had until now: a clone goes
 * on with a copy of what its template had. A copy takes its name when it is complete, so that one which was interrupted is made again.
 */
import {
  lchownSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { AppShotError } from '../common/index.ts';
import { KernelError } from '../kernel/index.ts';
import { copyTree, placeOf } from './copy.ts';
import type { Spot } from './copy.ts';
import type { Redirect } from './environment.ts';
import { Inside } from './inside.ts';
import type { MadeRoot } from './root.ts';

/** Paths are normalised and absolute, in places that may be chosen. */
interface PlacePlan {
  readonly links: readonly { readonly path: string; readonly target: string }[];
  readonly redirects: readonly Redirect[];
}

const NONE: PlacePlan = { links: [], redirects: [] };

const codeOf = (error: unknown): string | undefined =>
  error instanceof KernelError ? error.errno : (error as NodeJS.ErrnoException).code;

/** What the file system refuses, in words for the user. */
const REASONS: Readonly<Record<string, string>> = {
  EROFS: 'it is read-only',
  ENOTDIR: 'a part of it is no directory',
  EEXIST: 'a part of it is a link that leads nowhere',
  ELOOP: 'its links lead in a circle',
};

const refusal = (what: string, path: string, error: unknown): unknown => {
  const code = codeOf(error) ?? '';
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new AppShotError('NO_SPACE', { path, step: 'copying files for a link' }, { cause: error });
  const reason = REASONS[code];
  return reason === undefined
    ? error
    : new AppShotError('LINK_OUTSIDE', { what, path, reason }, { cause: error });
};

const found = (spot: Spot): Stats | undefined => lstatSync(placeOf(spot), { throwIfNoEntry: false });

/** Copies under another name, and gives it its own when all of it is there. */
const copyWhole = async (source: Spot, target: Spot): Promise<void> => {
  const draft = { ...target, name: `.${target.name.toString()}.appshot-new` };
  rmSync(placeOf(draft), { recursive: true, force: true });
  await copyTree(source, draft);
  renameSync(placeOf(draft), placeOf(target));
};

/** The same file system is no matter of course, and an overlay renames only those directories that it has made. */
const move = async (source: Spot, target: Spot): Promise<void> => {
  try {
    renameSync(placeOf(source), placeOf(target));
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error;
    await copyWhole(source, target);
    rmSync(placeOf(source), { recursive: true });
  }
};

/** Makes `path` of what the first of the sources that exists holds; an empty directory when none does, since programs make files in it. */
const fill = async (
  inside: Inside,
  path: string,
  sources: readonly (string | undefined)[],
): Promise<void> => {
  for (const source of sources) {
    const real = source === undefined ? undefined : inside.real(source);
    if (real !== undefined) return copyWhole(inside.realSpot(real), inside.spot(path));
  }
  return inside.makeDirectory(path);
};

/** Whatever is in the way of a link is kept beside it: its target has something else already. */
const setAside = async (spot: Spot): Promise<void> => {
  const stat = found(spot);
  const place = placeOf(spot);
  if (stat === undefined) return;
  if (stat.isSymbolicLink()) return unlinkSync(place);
  if (stat.isDirectory() && readdirSync(place).length === 0) return rmdirSync(place);
  for (let count = 0; ; count++) {
    const aside = { ...spot, name: `${spot.name.toString()}.replaced${count === 0 ? '' : `-${count}`}` };
    if (found(aside) === undefined) return move(spot, aside);
  }
};

const readLink = (spot: Spot): string | undefined =>
  found(spot)?.isSymbolicLink() === true ? readlinkSync(placeOf(spot)) : undefined;

const link = async (
  inside: Inside,
  { path, target }: PlacePlan['links'][number],
  previous: string | undefined,
): Promise<void> => {
  const spot = inside.spot(path);
  if (readLink(spot) === target) return;
  if (inside.isMounted(path))
    throw new AppShotError('LINK_OUTSIDE', { what: 'a link', path, reason: 'a volume lies there' });
  if (inside.real(target) === undefined) {
    const isOwn = found(spot)?.isSymbolicLink() === false;
    const hasPrevious = previous !== undefined && inside.real(previous) !== undefined;
    if (isOwn && !hasPrevious) await move(spot, inside.spot(target));
    else await fill(inside, target, [previous, path]);
  }
  await setAside(spot);
  symlinkSync(target, placeOf(spot));
  const { uid, gid } = statSync(`/proc/self/fd/${spot.directory}`);
  lchownSync(placeOf(spot), uid, gid);
};

const redirect = async (
  inside: Inside,
  { from, to }: Redirect,
  previous: string | undefined,
): Promise<void> => {
  if (inside.real(to) === undefined) await fill(inside, to, [previous, from]);
  // What is covered must be there, and of the same kind.
  if (inside.real(from) !== undefined) return;
  if (inside.isDirectory(to)) inside.makeDirectory(from);
  else writeFileSync(placeOf(inside.spot(from)), '', { flag: 'wx' });
};

/**
 * Makes the links, and what redirections need, in a root that is not in use yet; little is done when all is there already. A new target
 * begins as a copy of what `previous` (the same places of the template) has, else of what was there under the name until now, and that is
 * moved where it can be; nothing is lost. Rejects with `LINK_OUTSIDE` where the files do not allow it, and with `NO_SPACE`.
 */
export const preparePlaces = async (
  { root, mounts }: Pick<MadeRoot, 'root' | 'mounts'>,
  { links, redirects }: PlacePlan,
  previous: PlacePlan = NONE,
): Promise<void> => {
  using inside = new Inside(root, mounts);
  for (const one of links) {
    const before = previous.links.find(({ path }) => path === one.path)?.target;
    await link(inside, one, before).catch((error: unknown) => {
      throw refusal(`the link ${one.path}, or what it leads to,`, one.target, error);
    });
  }
  for (const one of redirects) {
    const before = previous.redirects.find(({ from }) => from === one.from)?.to;
    await redirect(inside, one, before).catch((error: unknown) => {
      throw refusal(`the redirection of ${one.from}`, one.to, error);
    });
  }
};
