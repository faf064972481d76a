/**
 * Folding: the private memory of a dump moves into a layer, and the images are rewritten to map it. What processes have shared since a fork
 * they go on sharing: a mapping that is, page for page, mostly that of an earlier process maps the same part of the layer, and
 * only the pages that differ are kept beside it.
 *
 * A folded dump restores in the same time whatever its size, since the engine maps where it would have copied.
 */
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGES, decodeImage, encodeImage, readPagemap, writePagemap } from '../../criu/index.ts';
import type { Fields, Image, ImageEntry, PageRun, Pagemap, Schema } from '../../criu/index.ts';
import type { LayerEntry } from '../manifest.ts';
import { PAGE, WINDOW, readInto } from './layer.ts';
import { layerFiles, layerPath, mapLayer, mappingsOf, placeRuns } from './memory.ts';
import type { Mapping, ProcessMemory, SavedRun } from './memory.ts';
import { LayerAssembler, MappingReader, contentsOf, runsWithin } from './pieces.ts';
import type { Sources } from './pieces.ts';

/** Mappings with fewer pages than this are as quickly copied as mapped. */
const FEW = 4;
/** Of a mapping's pages, how many may differ from another process's for the rest to be shared. */
const MAY_DIFFER = 0.25;

export interface FoldInput {
  /** The images of the dump. */
  readonly images: string;
  /** Where the rewritten ones go. */
  readonly target: string;
  /** Path of the layer by its name, for those that the dump maps. */
  readonly layerFile: (name: string) => string;
  /** Where the new layer is written: a name that does not exist. */
  readonly draft: string;
}

/** A page, or several, that stay beside the layer; without a source they are zeros. */
interface Kept {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly source?: { file: number; offset: number };
  /** Contents that were read already. */
  readonly bytes?: Buffer;
}

interface Process extends ProcessMemory {
  readonly mm: Image;
  readonly pagemap: Pagemap;
  readonly sources: Sources;
}

/** A part of the new layer. */
interface Region {
  readonly owner: Process;
  readonly mapping: Mapping;
  readonly offset: number;
}

interface Placed {
  readonly process: Process;
  readonly mapping: Mapping;
  readonly region: Region;
  readonly kept: readonly Kept[];
}

const pagesFile = ({ pagesId }: Pagemap): string => `pages-${pagesId}.img`;
const pagesIn = ({ start, end }: { start: number; end: number }): number => (end - start) / PAGE;

const deservesLayer = (mapping: Mapping, runs: readonly SavedRun[]): boolean => {
  if (mapping.layer) return true;
  let pages = 0;
  for (const run of runsWithin(runs, mapping.start, mapping.end)) pages += pagesIn(run);
  return pages >= FEW;
};

/** Pages of `own` that differ from those of `other`, which has the same range; undefined when too many do. */
const differences = (
  own: Process,
  mapping: Mapping,
  { owner, mapping: theirs }: Region,
): Kept[] | undefined => {
  const [mine, other] = [Buffer.alloc(WINDOW), Buffer.alloc(WINDOW)];
  const readers = [
    new MappingReader(mapping, own.runs, own.sources),
    new MappingReader(theirs, owner.runs, owner.sources),
  ] as const;
  const kept: Kept[] = [];
  const length = mapping.end - mapping.start;
  let present = 0;
  for (let from = 0; from < length; from += WINDOW) {
    const size = Math.min(WINDOW, length - from);
    readers[0].read(from, mine.subarray(0, size));
    readers[1].read(from, other.subarray(0, size));
    for (let at = 0; at < size; at += PAGE) {
      const page = mine.subarray(at, at + PAGE);
      present += 1;
      if (page.equals(other.subarray(at, at + PAGE))) continue;
      const start = mapping.start + from + at;
      kept.push({ start, end: start + PAGE, flags: PAGES.present, bytes: Buffer.from(page) });
    }
    if (kept.length > Math.max(FEW, present * MAY_DIFFER)) return undefined;
  }
  return kept;
};

/** Gives each mapping its part of the layer. */
const place = (processes: readonly Process[]): { placed: Placed[]; size: number } => {
  const regions = new Map<string, Region[]>();
  const placed: Placed[] = [];
  let size = 0;
  for (const process of processes)
    for (const mapping of process.mappings) {
      if (!deservesLayer(mapping, process.runs)) continue;
      const key = `${mapping.start} ${mapping.end}`;
      const rivals = regions.get(key) ?? [];
      const shared = rivals
        .map((region) => ({ region, kept: differences(process, mapping, region) }))
        .find(({ kept }) => kept !== undefined);
      if (shared?.kept) {
        placed.push({ process, mapping, region: shared.region, kept: shared.kept });
        continue;
      }
      const region = { owner: process, mapping, offset: size };
      regions.set(key, [...rivals, region]);
      placed.push({ process, mapping, region, kept: [] });
      size += mapping.end - mapping.start;
    }
  return { placed, size };
};

const writeLayer = (path: string, placed: readonly Placed[], size: number): LayerEntry => {
  const assembler = new LayerAssembler(path, size);
  try {
    for (const { process, mapping, region } of placed) {
      if (region.mapping !== mapping) continue;
      for (const piece of contentsOf(mapping, process.runs, process.sources))
        assembler.add(region.offset, piece);
    }
    return assembler.end();
  } catch (error) {
    assembler.abort();
    throw error;
  }
};

/** The runs of a process that are outside of what has moved. */
const runsLeft = (process: Process, moved: readonly Mapping[]): Kept[] => {
  const left: Kept[] = [];
  let next = 0;
  for (const { start, end, at, run } of process.runs) {
    let from = start;
    const keep = (to: number): void => {
      if (to > from)
        left.push({
          start: from,
          end: to,
          flags: run.flags,
          source: { file: process.sources.pages, offset: at + from - start },
        });
    };
    while (next < moved.length && (moved[next] as Mapping).end <= start) next += 1;
    for (let index = next; index < moved.length && (moved[index] as Mapping).start < end; index += 1) {
      const mapping = moved[index] as Mapping;
      keep(Math.min(end, mapping.start));
      from = Math.max(from, Math.min(end, mapping.end));
    }
    keep(end);
  }
  return left;
};

/** Writes the pages that stay, and their map. Returns how many bytes. */
const writeKept = (target: string, { pid, pagemap }: Process, kept: readonly Kept[]): number => {
  const file = openSync(join(target, pagesFile(pagemap)), 'w', 0o600);
  const runs: PageRun[] = [];
  let written = 0;
  const window = Buffer.alloc(WINDOW);
  try {
    for (const { start, end, flags, source, bytes } of kept) {
      const last = runs.at(-1);
      if (last && last.vaddr + last.pages * PAGE === start && last.flags === flags)
        runs[runs.length - 1] = { ...last, pages: last.pages + pagesIn({ start, end }) };
      else runs.push({ vaddr: start, pages: pagesIn({ start, end }), flags });
      for (let at = 0; at < end - start; at += WINDOW) {
        const piece = bytes ?? window.subarray(0, Math.min(WINDOW, end - start - at));
        if (source) readInto(source.file, source.offset + at, source.offset + at + piece.length, piece);
        written += writeSync(file, piece, 0, piece.length, written);
      }
    }
  } finally {
    closeSync(file);
  }
  writeFileSync(join(target, `pagemap-${pid}.img`), writePagemap({ ...pagemap, runs }), { mode: 0o600 });
  return written;
};

/** An entry of `files.img` for a layer. Each process has its own: the engine takes a child's mapping for its parent's when their files are one. */
const fileEntry = (schema: Schema, like: ImageEntry, id: number, layer: LayerEntry): ImageEntry => {
  const { fown } = like.message['reg'] as Fields;
  const reg = {
    id,
    flags: 0,
    pos: 0n,
    fown,
    name: layerPath(layer.digest),
    size: BigInt(layer.size),
    mode: 0o100400,
  };
  return { message: schema.make('file_entry', { type: like.message['type'], id, reg }) };
};

/** Entries of layers that nothing maps any more go. */
const withoutOldLayers = (files: Image): Image => {
  const old = layerFiles(files);
  return { ...files, entries: files.entries.filter(({ message }) => !old.has(Number(message['id']))) };
};

/** Lists the new layer in `files.img`, once for each process, and lets its mappings refer to it. */
const mapPlaced = (schema: Schema, files: Image, placed: readonly Placed[], layer: LayerEntry): Image => {
  const next = withoutOldLayers(files);
  const like = next.entries.find(({ message }) => message['reg'] !== undefined);
  if (!like) throw new Error('the images name no file to model an entry on');
  let id = Math.max(0, ...files.entries.map(({ message }) => Number(message['id'])));
  for (const process of new Set(placed.map((one) => one.process))) {
    id += 1;
    next.entries.push(fileEntry(schema, like, id, layer));
    for (const { mapping, region } of placed.filter((one) => one.process === process))
      mapLayer(mapping, id, region.offset);
  }
  return next;
};

const readImageFile = (schema: Schema, directory: string, name: string): Image =>
  decodeImage(schema, name, readFileSync(join(directory, name)));

/** Parents before their children: who was forked shares with who was there. */
const pidsOf = (schema: Schema, images: string): number[] =>
  readImageFile(schema, images, 'pstree.img')
    .entries.map(({ message }) => Number(message['pid']))
    .filter((pid) => existsSync(join(images, `mm-${pid}.img`)));

/** `user_x86_regs_mode` of CRIU's core-x86.proto. */
const COMPAT = 2;

/** The guard cannot make a 32-bit program replace its memory. */
const canBeGuarded = (schema: Schema, images: string, pid: number): boolean => {
  const info = readImageFile(schema, images, `core-${pid}.img`).entries[0]?.message['threadInfo'] as
    Fields | undefined;
  return Number((info?.['gpregs'] as Fields | undefined)?.['mode'] ?? 0) !== COMPAT;
};

interface Opened {
  readonly files: Image;
  readonly processes: readonly Process[];
}

const readDump = (
  schema: Schema,
  { images, layerFile }: FoldInput,
  open: (path: string) => number,
): Opened => {
  const files = readImageFile(schema, images, 'files.img');
  const layers = layerFiles(files);
  const opened = new Map([...new Set(layers.values())].map((name) => [name, open(layerFile(name))]));
  const processes = pidsOf(schema, images).map((pid): Process => {
    const mm = readImageFile(schema, images, `mm-${pid}.img`);
    const pagemap = readPagemap(`pagemap-${pid}.img`, readFileSync(join(images, `pagemap-${pid}.img`)));
    return {
      pid,
      mm,
      pagemap,
      mappings: canBeGuarded(schema, images, pid) ? mappingsOf(mm, layers) : [],
      runs: placeRuns(pagemap.runs),
      sources: { pages: open(join(images, pagesFile(pagemap))), layers: opened },
    };
  });
  return { files, processes };
};

const foldOpened = (schema: Schema, input: FoldInput, { files, processes }: Opened): Folded | undefined => {
  const { placed, size } = place(processes);
  if (size === 0) return undefined;
  const layer = writeLayer(input.draft, placed, size);
  const save = (image: Image): void =>
    writeFileSync(join(input.target, image.name), encodeImage(schema, image), { mode: 0o600 });
  save(mapPlaced(schema, files, placed, layer));
  let copied = 0;
  const written = ['files.img'];
  for (const process of processes) {
    const own = placed.filter((one) => one.process === process);
    const moved = own.map(({ mapping }) => mapping);
    const kept = [...runsLeft(process, moved), ...own.flatMap((one) => one.kept)];
    copied += writeKept(
      input.target,
      process,
      kept.toSorted((a, b) => a.start - b.start),
    );
    save(process.mm);
    written.push(process.mm.name, `pagemap-${process.pid}.img`, pagesFile(process.pagemap));
  }
  return { layer, copied, written };
};

export interface Folded {
  readonly layer: LayerEntry;
  /** Bytes of memory that are still in page images. */
  readonly copied: number;
  /** The images that were written; all others are as they were. */
  readonly written: readonly string[];
}

/**
 * Folds a dump. Undefined when it has no memory worth a layer; nothing is then written. Takes about a second for 1.5 GB, and does not
 * yield meanwhile: not for the daemon's own thread.
 */
export const fold = (schema: Schema, input: FoldInput): Folded | undefined => {
  const open: number[] = [];
  try {
    const opened = readDump(schema, input, (path) => {
      const descriptor = openSync(path, 'r');
      open.push(descriptor);
      return descriptor;
    });
    return foldOpened(schema, input, opened);
  } finally {
    open.forEach((descriptor) => closeSync(descriptor));
  }
};
