/**
 * Where rules and links may lead. An application's root is a copy of the machine's, so nearly every path is its own; what the
 * kernel or AppShot provide there is not.
 */
import { posix } from 'node:path';
import { AppShotError } from '../common/index.ts';

/** Provided by the kernel or by AppShot in each application. */
const RESERVED = ['/proc', '/sys', '/dev', '/.appshot'];
/** Shared memory: the one part of /dev that is the application's own. */
const OWN = '/dev/shm';
/** Written for each application, by its identity. */
const IDENTITY = ['/etc/hosts', '/etc/hostname'];
/** Bytes of a path and of a name in it (PATH_MAX without its zero byte, NAME_MAX). */
const MAX_PATH = 4095;
const MAX_NAME = 255;

/** Whether a path is the other one or below it; both normalised. */
export const isWithin = (path: string, other: string): boolean =>
  path === other || path.startsWith(`${other}/`);

const findFlawOfForm = (path: string): string | undefined => {
  if (path.includes('\0')) return 'a zero byte cannot be passed';
  if (!path.startsWith('/')) return 'give an absolute path';
  const names = path.split('/');
  if (names.includes('..')) return 'it may not hold ..';
  if (path === '/') return 'it may not be the root itself';
  const normalised = posix.normalize(path).replace(/\/$/, '');
  if (path !== normalised) return `write it as ${normalised || '/'}`;
  const isLong =
    Buffer.byteLength(path) > MAX_PATH || names.some((name) => Buffer.byteLength(name) > MAX_NAME);
  return isLong ? `a path has ${MAX_PATH} bytes at most, and each name in it ${MAX_NAME}` : undefined;
};

/** Why a path cannot be a target; undefined when it can. */
const findFlaw = (path: string): string | undefined => {
  const flaw = findFlawOfForm(path);
  if (flaw !== undefined || isWithin(path, OWN)) return flaw;
  const reserved = RESERVED.find((place) => isWithin(path, place));
  return reserved === undefined ? undefined : `${reserved} is not the application's own`;
};

/** Why a path cannot be redirected or become a link; undefined when it can. */
export const findFlawOfSource = (path: string): string | undefined =>
  findFlaw(path) ??
  (IDENTITY.includes(path) ? `${path} follows the identity of each application` : undefined);

/** An error that names `what`, such as `the target of the link /data`. */
export const outside = (what: string, path: string, reason: string): AppShotError =>
  new AppShotError('LINK_OUTSIDE', { what, path, reason });

/** @throws AppShotError LINK_OUTSIDE: `what` may not lead to this path */
export const checkPlace = (path: string, what: string): void => {
  const flaw = findFlaw(path);
  if (flaw !== undefined) throw outside(what, path, flaw);
};

/** @throws AppShotError LINK_OUTSIDE: `what` may not be redirected or become a link */
export const checkSource = (path: string, what: string): void => {
  const flaw = findFlawOfSource(path);
  if (flaw !== undefined) throw outside(what, path, flaw);
};
