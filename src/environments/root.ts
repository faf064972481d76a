/**
 * An application's root: an overlay of its own directory over this machine's files.
 *
 * What it must not see of this machine (its /run, /tmp, AppShot's own directories) is hidden by opaque directories in the
 * upper layer, which then hold the application's own. The overlay is made out here, since inside a user namespace the
 * kernel refuses it, and handed in as a descriptor.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { VolumeSpec } from '../api/index.ts';
import { cloneTree, close, overlay, setOpaque } from '../kernel/index.ts';
import type { PlacedMount } from './environment.ts';

/** Where an application finds what belongs to AppShot. */
const INSIDE = { engine: '/.appshot/engine', log: '/.appshot/log' } as const;

/** The directories of one application, all on one file system. */
export interface ApplicationFiles {
  readonly upper: string;
  readonly work: string;
  readonly log: string;
  /** What it keeps in /dev/shm. */
  readonly shm: string;
}

export interface RootPlan {
  readonly engine: string;
  readonly files: ApplicationFiles;
  readonly volumes: readonly VolumeSpec[];
}

/** Makes `path` below `upper` with the owner and mode that each part has on this machine, which it would else cover. */
const mirror = (upper: string, path: string): string => {
  const target = join(upper, path);
  if (path === '/' || existsSync(target)) return target;
  mirror(upper, dirname(path));
  mkdirSync(target);
  if (existsSync(path)) {
    const { uid, gid, mode } = statSync(path);
    chownSync(target, uid, gid);
    chmodSync(target, mode & 0o7777);
  }
  return target;
};

/** Directories that each application has for itself, empty at first. */
const OWN = ['/run', '/tmp', '/var/tmp'];

/** The real paths of those that exist, without those that lie within another. */
const outermost = (paths: readonly string[]): string[] => {
  const real = [...new Set(paths.filter((path) => existsSync(path)).map((path) => realpathSync(path)))];
  return real.filter((path) => !real.some((other) => path !== other && path.startsWith(`${other}/`)));
};

/** Makes an application's directories; `hidden` are directories of this machine that it must not see. Idempotent. */
export const makeApplicationFiles = (files: ApplicationFiles, hidden: readonly string[]): void => {
  for (const path of [files.upper, files.work, files.log, files.shm]) mkdirSync(path, { recursive: true });
  chmodSync(files.upper, 0o755);
  chmodSync(files.shm, 0o1777);
  for (const path of outermost([...OWN, ...hidden])) setOpaque(mirror(files.upper, path));
};

/** A command of this machine as an application's root shows it: what lies in the engine's directory appears elsewhere. */
export const insidePath = (engine: string, path: string): string => {
  const below = relative(engine, path);
  return below.startsWith('..') || below.startsWith('/') ? path : join(INSIDE.engine, below);
};

/** The mounts of an application's root, detached; the caller closes them by `dispose`. Throws `KernelError`. */
export const makeRoot = (plan: RootPlan): { root: number; mounts: PlacedMount[] } & Disposable => {
  const open: number[] = [];
  const keep = (descriptor: number): number => (open.push(descriptor), descriptor);
  const dispose = (): void => open.splice(0).forEach(close);
  const place = (source: string, target: string, readOnly = false): PlacedMount => ({
    descriptor: keep(cloneTree(source, { readOnly })),
    target,
  });
  try {
    const { engine, files } = plan;
    const root = keep(overlay({ lower: ['/'], upper: files.upper, work: files.work, handles: true }));
    const mounts = [
      place(engine, INSIDE.engine, true),
      place(files.log, INSIDE.log),
      place(files.shm, '/dev/shm'),
      ...plan.volumes.map((volume) => place(volume.source, volume.target, volume.readOnly)),
    ];
    return { root, mounts, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
};
