/**
 * An application's root: an overlay of its own directory over this machine's files.
 *
 * What it must not see of this machine (its /run, /tmp, AppShot's own directories) is hidden by opaque directories in the
 * upper layer, which then hold the application's own. A clone has the layers of its template below its own, which hide that already. The overlay is made out here, since inside a user namespace the
 * kernel refuses it, and handed in as a descriptor.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { ProcessSpec, VolumeSpec } from '../api/index.ts';
import { cloneTree, close, overlay, setOpaque } from '../kernel/index.ts';
import type { PlacedMount } from './environment.ts';

/** Where an application finds what belongs to AppShot. */
export const INSIDE = {
  engine: '/.appshot/engine',
  log: '/.appshot/log',
  shared: '/.appshot/shared',
} as const;

/** The directories of one application, all on one file system. */
export interface ApplicationFiles {
  readonly upper: string;
  readonly work: string;
  readonly log: string;
  /** What it keeps in /dev/shm. */
  readonly shm: string;
  /** The work directory for `shm`; it is there when `shm` lies over the template's. */
  readonly shmWork: string;
  /** What it wrote to the directories that are shown. */
  readonly shown: string;
}

/** What another application kept: below the layers of a clone, and never written. */
export type LayersBeneath = Pick<ApplicationFiles, 'upper' | 'shm' | 'shown'>;

export interface RootPlan {
  readonly engine: string;
  readonly files: ApplicationFiles;
  /** Of the template, for a clone. */
  readonly beneath?: LayersBeneath | undefined;
  readonly volumes: readonly VolumeSpec[];
  /** Directories and files of this machine below those that the application has for itself, shown there as its root is. */
  readonly shown: readonly string[];
  /** What all clones of a template have together, as `copyShared` made it. */
  readonly shared?: string | undefined;
  /** Files that its memory is mapped from, and where it finds them. */
  readonly memory: readonly { source: string; target: string }[];
}

export const mirrorMode = (from: string, to: string): void => {
  const { uid, gid, mode } = statSync(from);
  chownSync(to, uid, gid);
  chmodSync(to, mode & 0o7777);
};

/**
 * Makes `path` in the upper layer over `lower` with the owner and mode that each part has there, which it would else cover. Undefined
 * where the application has something else than directories.
 */
export const mirror = (upper: string, path: string, lower = '/'): string | undefined => {
  const target = join(upper, relative(lower, path));
  if (path === lower) return target;
  // What the application made a link or a file hides what lies below it here, and must not lead out of its own files.
  if (mirror(upper, dirname(path), lower) === undefined) return undefined;
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found) return found.isDirectory() ? target : undefined;
  mkdirSync(target);
  if (existsSync(path)) mirrorMode(path, target);
  return target;
};

/** Hides what this machine has at `path` from the application. */
const hide = (upper: string, path: string, lower = '/'): void => {
  const target = mirror(upper, path, lower);
  if (target !== undefined) setOpaque(target);
};

/** Directories that each application has for itself, empty at first. */
const OWN = ['/run', '/tmp', '/var/tmp'];

const isBelow = (path: string, directory: string): boolean => path.startsWith(`${directory}/`);

/** The real paths of those that exist, without those that lie within another. */
const outermost = (paths: readonly string[]): string[] => {
  const real = [...new Set(paths.filter((path) => existsSync(path)).map((path) => realpathSync(path)))];
  return real.filter((path) => !real.some((other) => isBelow(path, other)));
};

/** Hides in a layer over this machine's root what no application may see of it. */
export const hideInLayer = (upper: string, hidden: readonly string[]): void => {
  for (const path of outermost([...OWN, ...hidden])) hide(upper, path);
};

/** The layers over the directory that is shown at this place of the list. */
const shownLayers = (
  { shown }: Pick<ApplicationFiles, 'shown'>,
  index: number,
): { upper: string; work: string } => ({
  upper: join(shown, String(index), 'upper'),
  work: join(shown, String(index), 'work'),
});

const isDirectory = (path: string): boolean => statSync(path).isDirectory();

const holdsAnything = (directory: string): boolean =>
  existsSync(directory) && readdirSync(directory).length > 0;

/**
 * Makes an application's directories. `hidden` are directories of this machine that it must not see, `shown` those below its own that
 * it must. What lies `beneath` hides already what must be hidden.
 */
export const makeApplicationFiles = (
  files: ApplicationFiles,
  hidden: readonly string[],
  shown: readonly string[],
  beneath?: LayersBeneath,
): void => {
  for (const path of [files.upper, files.work, files.log, files.shm]) mkdirSync(path, { recursive: true });
  if (beneath && holdsAnything(beneath.shm)) mkdirSync(files.shmWork, { recursive: true });
  chmodSync(files.upper, 0o755);
  chmodSync(files.shm, 0o1777);
  if (!beneath) hideInLayer(files.upper, hidden);
  for (const [index, lower] of shown.entries()) {
    if (!existsSync(lower) || !isDirectory(lower)) continue;
    const { upper, work } = shownLayers(files, index);
    for (const directory of [upper, work]) mkdirSync(directory, { recursive: true });
    const layer = beneath && shownLayers(beneath, index).upper;
    mirrorMode(layer !== undefined && existsSync(layer) ? layer : lower, upper);
    if (beneath) continue;
    const within = outermost(hidden).filter((path) => isBelow(path, lower));
    for (const path of within) hide(upper, path, lower);
  }
};

/**
 * What a chain names that would be hidden: working directories, and what its commands are or are given (the directory that a file
 * lies in). A program in /tmp is started as it is anywhere else; what it writes there is its own.
 */
export const shownPaths = (
  processes: readonly Pick<ProcessSpec, 'command' | 'workingDirectory'>[],
): string[] => {
  const named = processes.flatMap(({ command, workingDirectory = '/' }) => [
    workingDirectory,
    ...command.map((word) => resolve(workingDirectory, word.slice(word.indexOf('=') + 1))),
  ]);
  const own = OWN.filter((path) => existsSync(path)).map((path) => realpathSync(path));
  const places = named
    .filter((path) => !path.includes('\0') && existsSync(path))
    .map((path) => realpathSync(path))
    .map((path) => (isDirectory(path) || own.includes(dirname(path)) ? path : dirname(path)));
  return outermost(places.filter((path) => own.some((directory) => isBelow(path, directory))));
};

/** A command of this machine as an application's root shows it: what lies in the engine's directory appears elsewhere. */
export const insidePath = (engine: string, path: string): string => {
  const below = relative(engine, path);
  return below.startsWith('..') || below.startsWith('/') ? path : join(INSIDE.engine, below);
};

/** The mounts of an application's root, detached. */
export interface MadeRoot extends Disposable {
  readonly root: number;
  readonly mounts: readonly PlacedMount[];
}

/** Makes them; the caller disposes of them. Throws `KernelError`. */
export const makeRoot = (plan: RootPlan): MadeRoot => {
  const open: number[] = [];
  const keep = (descriptor: number): number => (open.push(descriptor), descriptor);
  const dispose = (): void => open.splice(0).forEach(close);
  const place = (source: string, target: string, readOnly = false): PlacedMount => ({
    descriptor: keep(cloneTree(source, { readOnly })),
    target,
  });
  const layered = (
    machine: string,
    layer: string | undefined,
    own: { upper: string; work: string },
  ): number => {
    const lower = layer === undefined ? [machine] : [layer, machine];
    return keep(overlay({ lower, ...own, handles: true }));
  };
  const shown = (path: string, index: number): PlacedMount => {
    if (!isDirectory(path)) return place(path, path, true);
    const layer = plan.beneath && shownLayers(plan.beneath, index).upper;
    const known = layer !== undefined && existsSync(layer) ? layer : undefined;
    return { descriptor: layered(path, known, shownLayers(plan.files, index)), target: path };
  };
  const sharedMemory = ({ shm, shmWork }: ApplicationFiles): PlacedMount => {
    const layer = plan.beneath?.shm;
    if (layer === undefined || !existsSync(shmWork)) return place(shm, '/dev/shm');
    const descriptor = keep(overlay({ lower: [layer], upper: shm, work: shmWork, handles: true }));
    return { descriptor, target: '/dev/shm' };
  };
  try {
    const { engine, files, beneath } = plan;
    const root = layered('/', beneath?.upper, files);
    const mounts = [
      // What a snapshot from elsewhere was shown need not be here; the others keep their numbers.
      ...plan.shown.flatMap((path, index) => (existsSync(path) ? [shown(path, index)] : [])),
      place(engine, INSIDE.engine, true),
      place(files.log, INSIDE.log),
      ...(plan.shared === undefined ? [] : [place(plan.shared, INSIDE.shared)]),
      sharedMemory(files),
      ...plan.memory.map(({ source, target }) => place(source, target, true)),
      ...plan.volumes.map((volume) => place(volume.source, volume.target, volume.readOnly)),
    ];
    return { root, mounts, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
};
