/** Paths in a dump's `files.img`: what its programs hold open, or are bound to, by names that are others now. */
import type { Fields } from '../schema.ts';
import { bytesIn, has, part, parts, textIn } from './access.ts';
import type { Image } from './codec.ts';
import { ImageError } from './error.ts';

interface Move {
  readonly from: string;
  readonly to: string;
}

/** `sun_path` of the kernel's `linux/un.h`, less the byte that ends it. */
const LONGEST_SOCKET = 107;

/** Where a path is now; undefined when it is where it was. What lies deepest counts, so that the order of moves does not. */
const moved = (path: string, moves: readonly Move[]): string | undefined => {
  const applicable = moves.filter(({ from }) => path === from || path.startsWith(`${from}/`));
  if (applicable.length === 0) return undefined;
  const { from, to } = applicable.reduce((best, one) => (one.from.length > best.from.length ? one : best));
  return from === to ? undefined : `${to}${path.slice(from.length)}`;
};

const moveText = (message: Fields | undefined, field: string, moves: readonly Move[]): boolean => {
  if (!message || !has(message, field)) return false;
  const path = moved(textIn(message, field), moves);
  if (path === undefined) return false;
  message[field] = path;
  return true;
};

/** Names are bytes as they are: those of abstract sockets begin with a zero byte, and lie nowhere. A relative name has its directory apart. */
const moveSocket = (socket: Fields, moves: readonly Move[], file: string): boolean => {
  const name = Buffer.from(bytesIn(socket, 'name')).toString('latin1');
  const bare = name.replace(/\0+$/, '');
  const path = moved(Buffer.from(bare, 'latin1').toString(), moves);
  if (path !== undefined) {
    if (Buffer.byteLength(path) > LONGEST_SOCKET)
      throw new ImageError(file, `has a socket that cannot be bound to ${path}: that is too long for one`);
    socket['name'] = Buffer.concat([Buffer.from(path), Buffer.alloc(name.length - bare.length)]);
  }
  return moveText(socket, 'nameDir', moves) || path !== undefined;
};

const moveEntry = (entry: Fields, moves: readonly Move[], file: string): boolean => {
  const socket = part(entry, 'usk');
  // Of a fifo and of a terminal, the path is a file's that they name.
  const watched = [
    ...parts(part(entry, 'ify'), 'wd'),
    ...parts(part(entry, 'ffy'), 'mark').map((mark) => part(mark, 'ie')),
  ].map((watch) => part(watch, 'fHandle'));
  const changes = [
    moveText(part(entry, 'reg'), 'name', moves),
    socket !== undefined && moveSocket(socket, moves, file),
    ...watched.map((handle) => moveText(handle, 'path', moves)),
  ];
  return changes.includes(true);
};

/**
 * Renames what lies at or below each `from` of a `files.img`: files, directories, working directories, fifos, UNIX sockets, watches. All
 * moves take place at once. Returns how many entries were changed. Throws `ImageError` when a socket's path becomes too long.
 */
export const movePaths = (files: Image, moves: readonly Move[]): number =>
  files.entries.filter(({ message }) => moveEntry(message, moves, files.name)).length;
