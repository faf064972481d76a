/**
 * Tells a clone's programs that they are in a clone: whoever watches `/.appshot/identity.json` with inotify hears that it was written and
 * closed. It is written in place with the bytes that it has, so that no reader ever sees half of it, and through the application's own
 * mount, since a watch on an overlay does not hear of what is done to its layers.
 */
import { constants, fstatSync, readSync, writeSync } from 'node:fs';
import type { Environment } from '../environments/index.ts';
import { close, isErrno, openInRoot, openRoot } from '../kernel/index.ts';

const IDENTITY = '/.appshot/identity.json';
/** Longer than the file ever is. */
const LONGEST = 64 << 10;

/** What the application may have put in its place is left alone: that is its own doing. */
const open = (root: number): number | undefined => {
  try {
    return openInRoot(root, IDENTITY, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ELOOP', 'ENOTDIR', 'EISDIR', 'ENXIO', 'EROFS')) return undefined;
    throw error;
  }
};

const rewrite = (file: number): void => {
  if (!fstatSync(file).isFile()) return;
  const buffer = Buffer.alloc(LONGEST);
  const length = readSync(file, buffer, 0, LONGEST, 0);
  if (length > 0) writeSync(file, buffer, 0, length, 0);
};

/** For an environment whose processes run. Nothing happens where the application has removed the file. */
export const announce = (environment: Environment): void => {
  const root = openRoot(environment.pid);
  try {
    const file = open(root);
    if (file === undefined) return;
    try {
      rewrite(file);
    } finally {
      close(file);
    }
  } finally {
    close(root);
  }
};
