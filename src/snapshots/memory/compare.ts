/** Which pages of memory differ between two snapshots of an application, mapping by mapping. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage, readPagemap } from '../../criu/index.ts';
import type { Schema } from '../../criu/index.ts';
import { PAGE, WINDOW } from './layer.ts';
import { layerFiles, mappingsOf, placeRuns } from './memory.ts';
import type { Mapping, SavedRun } from './memory.ts';
import { MappingReader } from './pieces.ts';
import type { Sources } from './pieces.ts';

/** Images, and where the layers that they map are, by name. */
export interface ImagesAt {
  readonly images: string;
  readonly layerFile: (name: string) => string;
}

/** A mapping with pages that differ; addresses in bytes. One that only one side has counts with all that it holds. */
export interface MemoryDifference {
  readonly pid: number;
  readonly start: number;
  readonly end: number;
  readonly pages: number;
}

interface Side {
  readonly mappings: readonly Mapping[];
  readonly runs: readonly SavedRun[];
  readonly sources: Sources;
}

const NOTHING: Side = { mappings: [], runs: [], sources: { pages: -1, layers: new Map() } };

const openSide = (schema: Schema, at: ImagesAt, pid: number, open: (path: string) => number): Side => {
  const path = (name: string): string => join(at.images, name);
  if (!existsSync(path(`mm-${pid}.img`)) || !existsSync(path(`pagemap-${pid}.img`))) return NOTHING;
  const read = (name: string): Buffer => readFileSync(path(name));
  const layers = layerFiles(decodeImage(schema, 'files.img', read('files.img')));
  const pagemap = readPagemap(`pagemap-${pid}.img`, read(`pagemap-${pid}.img`));
  const mappings = mappingsOf(decodeImage(schema, `mm-${pid}.img`, read(`mm-${pid}.img`)), layers);
  const used = new Set(mappings.flatMap(({ layer }) => layer?.name ?? []));
  return {
    mappings,
    runs: placeRuns(pagemap.runs),
    sources: {
      pages: open(path(`pages-${pagemap.pagesId}.img`)),
      layers: new Map([...used].map((name) => [name, open(at.layerFile(name))])),
    },
  };
};

/** The part of a mapping within a range, so that mappings that were split or joined can be compared. */
const cut = (mapping: Mapping, start: number, end: number): Mapping => ({
  ...mapping,
  start,
  end,
  layer: mapping.layer && { ...mapping.layer, offset: mapping.layer.offset + start - mapping.start },
});

const overlapping = (mappings: readonly Mapping[], start: number, end: number): Mapping[] =>
  mappings
    .filter((one) => one.start < end && one.end > start)
    .map((one) => cut(one, Math.max(one.start, start), Math.min(one.end, end)));

const contentAt = (side: Side, start: number, into: Buffer): void => {
  into.fill(0);
  for (const part of overlapping(side.mappings, start, start + into.length))
    new MappingReader(part, side.runs, side.sources).read(
      0,
      into.subarray(part.start - start, part.end - start),
    );
};

const differing = async (before: Side, after: Side, start: number, end: number): Promise<number> => {
  const [one, other] = [Buffer.alloc(WINDOW), Buffer.alloc(WINDOW)];
  let pages = 0;
  for (let from = start; from < end; from += WINDOW) {
    const size = Math.min(WINDOW, end - from);
    contentAt(before, from, one.subarray(0, size));
    contentAt(after, from, other.subarray(0, size));
    for (let at = 0; at < size; at += PAGE)
      if (!one.subarray(at, at + PAGE).equals(other.subarray(at, at + PAGE))) pages += 1;
    // Others have their turn.
    await new Promise(setImmediate);
  }
  return pages;
};

/** The ranges of both sides, none twice. */
const rangesOf = (before: Side, after: Side): { start: number; end: number }[] => {
  const old = before.mappings.filter(
    ({ start, end }) => overlapping(after.mappings, start, end).length === 0,
  );
  return [...after.mappings, ...old].toSorted((a, b) => a.start - b.start);
};

/** The private memory of one process in both. Ascending; mappings without a difference are left out. */
export const compareMemory = async (
  schema: Schema,
  pid: number,
  before: ImagesAt,
  after: ImagesAt,
): Promise<MemoryDifference[]> => {
  const open: number[] = [];
  const opened = (path: string): number => {
    const descriptor = openSync(path, 'r');
    open.push(descriptor);
    return descriptor;
  };
  try {
    const [old, young] = [before, after].map((side) => openSide(schema, side, pid, opened)) as [Side, Side];
    const found: MemoryDifference[] = [];
    for (const { start, end } of rangesOf(old, young)) {
      const pages = await differing(old, young, start, end);
      if (pages > 0) found.push({ pid, start, end, pages });
    }
    return found;
  } finally {
    open.forEach((descriptor) => closeSync(descriptor));
  }
};
