/**
 * Where the files of an application are on this machine. Its root is made of layers: the kernel looks for a path in one after the other,
 * until a layer has it, says that it was removed, or begins anew. The same is done here, from outside and without following
 * a link, so that nothing that an application made can lead elsewhere.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { getXattr, isErrno } from '../../kernel/index.ts';
import { unlessGone } from '../read-process.ts';

/** A mount of an application. */
export interface Place {
  /** Where it lies inside. */
  readonly point: string;
  /** The directories, or the file, of this machine that it is made of, topmost first; none when it is made of no files of a disk. */
  readonly layers: readonly string[];
}

/** What an application has of its own, and what lies below. */
interface RootFiles {
  readonly upper: string;
  readonly shm: string;
  readonly shown: string;
}

export interface RootPlan {
  readonly files: RootFiles & { readonly log: string };
  /** Of the template, for a clone. */
  readonly beneath?: RootFiles | undefined;
  readonly volumes: readonly { readonly source: string; readonly target: string }[];
  /** Directories and files of this machine that its root shows where it has its own. */
  readonly shown: readonly string[];
  /** What all clones of a template have together. */
  readonly shared?: string | undefined;
}

export interface Redirection {
  readonly from: string;
  readonly to: string;
}

export const SHARED_MEMORY = '/dev/shm';
const LOG = '/.appshot/log';
const SHARED = '/.appshot/shared';
/** Made by the kernel, or by AppShot for all applications alike. */
const NOWHERE = ['/proc', '/sys', '/dev', '/.appshot'];

/** The mounts of an application's root. */
export const placesOf = ({ files, beneath, volumes, shown, shared }: RootPlan): Place[] => {
  const layers = (name: (files: RootFiles) => string, ...machine: string[]): string[] => [
    ...[files, ...(beneath ? [beneath] : [])].map(name),
    ...machine,
  ];
  return [
    { point: '/', layers: layers(({ upper }) => upper, '/') },
    { point: SHARED_MEMORY, layers: layers(({ shm }) => shm) },
    { point: LOG, layers: [files.log] },
    { point: SHARED, layers: shared === undefined ? [] : [shared] },
    ...NOWHERE.map((point) => ({ point, layers: [] })),
    ...shown.map((point, index) => ({
      point,
      layers: layers((one) => join(one.shown, String(index), 'upper'), point),
    })),
    ...volumes.map(({ source, target }) => ({ point: target, layers: [source] })),
  ];
};

const isWithin = (path: string, directory: string): boolean =>
  directory === '/' || path === directory || path.startsWith(`${directory}/`);

/** What is left of a path below a directory: empty, or with a slash in front. */
const below = (path: string, directory: string): string =>
  directory === '/' ? (path === '/' ? '' : path) : path.slice(directory.length);

const deepest = <One>(all: readonly One[], path: string, at: (one: One) => string): One | undefined =>
  all
    .filter((one) => isWithin(path, at(one)))
    // The last of equals: what is mounted later covers what was there.
    .reduce<One | undefined>(
      (best, one) => (best && at(best).length > at(one).length ? best : one),
      undefined,
    );

const beginsAnew = (directory: string): boolean => {
  try {
    return getXattr(directory, 'trusted.overlay.opaque').toString() === 'y';
  } catch (error) {
    if (isErrno(error, 'ENODATA', 'EOPNOTSUPP', 'ENOENT')) return false;
    throw error;
  }
};

/** Which layers have a path whose parent they all have, as a directory. */
const having = (layers: readonly string[], path: string): { layers: string[]; isDirectory: boolean } => {
  const found: string[] = [];
  for (const layer of layers) {
    const stat = unlessGone(() => lstatSync(join(layer, path)));
    if (stat === undefined) continue;
    if (stat.isDirectory()) found.push(layer);
    else if (found.length > 0 || (stat.isCharacterDevice() && stat.rdev === 0)) break;
    else return { layers: [layer], isDirectory: false };
    if (layers.length > 1 && beginsAnew(join(layer, path))) break;
  }
  return { layers: found, isDirectory: true };
};

/** The topmost file or directory of this path; undefined when there is none. */
const inLayers = (layers: readonly string[], path: string): string | undefined => {
  const names = path.split('/').filter(Boolean);
  let left = layers;
  for (const index of names.keys()) {
    const part = join(...names.slice(0, index + 1));
    const { layers: next, isDirectory } = having(left, part);
    if (next.length === 0 || (!isDirectory && index < names.length - 1)) return undefined;
    left = next;
  }
  const [top] = left;
  return top === undefined ? undefined : join(top, ...names);
};

/** Paths without links, as the kernel tells them. */
export class Places {
  readonly #places: readonly Place[];
  readonly #redirections: readonly Redirection[];

  constructor(places: readonly Place[], redirections: readonly Redirection[] = []) {
    this.#places = places;
    this.#redirections = redirections;
  }

  /** What the application calls `path`; undefined when this machine has no such file. */
  toMachine(path: string): string | undefined {
    const over = deepest(this.#redirections, path, ({ from }) => from);
    const real = over ? over.to + below(path, over.from) : path;
    const place = deepest(this.#places, real, ({ point }) => point);
    return place && inLayers(place.layers, below(real, place.point));
  }

  /**
   * What an application calls a file of this machine that it may change: of its own, or of a volume. Undefined when it cannot see it, as
   * where something else is mounted over it.
   */
  toInside(path: string): string | undefined {
    const own = this.#places.flatMap(({ point, layers: [top] }) =>
      top === undefined ? [] : [{ point, top }],
    );
    const place = deepest(own, path, ({ top }) => top);
    const inside = place && (place.point === '/' ? '' : place.point) + below(path, place.top);
    return inside !== undefined && this.toMachine(inside || '/') === path ? inside || '/' : undefined;
  }

  /** The names in /dev/shm: POSIX shared memory and semaphores, which are files there. */
  sharedMemory(): string[] {
    const layers = this.#places.find(({ point }) => point === SHARED_MEMORY)?.layers ?? [];
    const names = layers.flatMap((layer) => unlessGone(() => readdirSync(layer)) ?? []);
    return [...new Set(names)].toSorted();
  }
}
