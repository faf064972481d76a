/**
 * The heavy part of making a snapshot durable, for a thread of its own: memory is folded into a layer, every file is read once, copied,
 * checksummed and flushed.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { Schema } from '../criu/index.ts';
import type { FileEntry, LayerEntry } from './manifest.ts';
import { fold } from './memory/fold.ts';
import { WINDOW } from './memory/layer.ts';

export interface SettleJob {
  /** The images as the engine wrote them, and where they go. */
  readonly images: string;
  readonly target: string;
  /** The images by their names: what else is there is not the snapshot's, and none may be missing. */
  readonly names: readonly string[];
  /** The directory of layers, and the name of the new one while it is written. */
  readonly layers: string;
  readonly draft: string;
  /** Path of the engine's message descriptors. */
  readonly descriptors: string;
  readonly fold: boolean;
}

export interface Settled {
  readonly files: FileEntry[];
  /** The layer that now holds the memory; absent when nothing was folded. */
  readonly layer?: LayerEntry;
}

const PAGES_FILE = /^pages-\d+\.img$/;
export const isPages = (name: string): boolean => PAGES_FILE.test(name);

const flush = (path: string): void => {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
};

const writeWhole = (file: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
};

/** Reads a file through, and copies it when there is a target. */
const digestFile = (path: string, target?: string): { size: number; sha256: string } => {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(WINDOW);
  const source = openSync(path, 'r');
  const copy = target === undefined ? undefined : openSync(target, 'wx', 0o600);
  let size = 0;
  try {
    for (let n; (n = readSync(source, piece, 0, piece.length, null)) > 0; size += n) {
      hash.update(piece.subarray(0, n));
      if (copy !== undefined) writeWhole(copy, piece.subarray(0, n));
    }
    if (copy !== undefined) fsyncSync(copy);
  } finally {
    closeSync(source);
    if (copy !== undefined) closeSync(copy);
  }
  return { size, sha256: hash.digest('hex') };
};

/** The layer gets its name; one with the same contents may be there already. */
const nameLayer = ({ layers, draft }: SettleJob, { digest }: LayerEntry): void => {
  const path = join(layers, digest);
  if (existsSync(path)) return rmSync(draft);
  flush(draft);
  renameSync(draft, path);
  flush(layers);
};

/** Does it. Throws the file system's error; the caller then removes target and draft. */
export const settle = (job: SettleJob): Settled => {
  const { images, target, names, layers, draft } = job;
  const layerFile = (name: string): string => {
    const found = readdirSync(layers).find((digest) => digest.startsWith(name));
    if (found === undefined) throw new Error(`the layer ${name} is missing`);
    return join(layers, found);
  };
  const folded = job.fold
    ? fold(Schema.load(job.descriptors), { images, target, layerFile, draft })
    : undefined;
  if (folded) nameLayer(job, folded.layer);
  const written = new Set(folded?.written);
  const files = names.map((name) => {
    const path = join(target, name);
    if (written.has(name)) flush(path);
    const found = written.has(name) ? digestFile(path) : digestFile(join(images, name), path);
    return { name: `images/${name}`, ...found };
  });
  flush(target);
  if (!folded) return { files };
  const pages = files.filter(({ name }) => isPages(basename(name)));
  return { files, layer: { ...folded.layer, beside: pages.reduce((sum, { size }) => sum + size, 0) } };
};
