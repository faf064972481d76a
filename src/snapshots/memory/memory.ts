/**
 * The private memory of saved processes, read from the engine's images: mappings, and where each one's pages are. Numbers of mappings
 * and flags are those of CRIU's images (vma.proto, `criu/include/image.h`) and of mmap(2).
 */
import { basename } from 'node:path';
import { PAGES } from '../../criu/index.ts';
import type { Fields, Image, PageRun } from '../../criu/index.ts';
import { PAGE } from './layer.ts';

const REGULAR = 1 << 0;
const FILE_PRIVATE = 1 << 6;
const ANONYMOUS_PRIVATE = 1 << 9;
/** Stack, vsyscall, vdso, vvar, asynchronous I/O ring, shadow stack, guard, uprobes, plugin: not the program's own to move. */
const SPECIAL =
  (1 << 1) | (1 << 2) | (1 << 3) | (1 << 12) | (1 << 13) | (1 << 15) | (1 << 16) | (1 << 17) | (1 << 27);

const AREA_GUARD = 1 << 16;

const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
const MAP_LOCKED = 0x2000;
const MAP_HUGETLB = 0x40000;
const KEPT_OUT = MAP_GROWSDOWN | MAP_LOCKED | MAP_HUGETLB;
/** MADV_WIPEONFORK: advice that a mapping of a file does not take. */
const ADVICE_KEPT_OUT = 1n << 18n;

/** Where the files of layers appear in an application's root, and their names there. */
export const MEMORY_DIRECTORY = '/.appshot/memory';
const NAME_LENGTH = 32;
export const layerName = (digest: string): string => digest.slice(0, NAME_LENGTH);
export const layerPath = (digest: string): string => `${MEMORY_DIRECTORY}/${layerName(digest)}`;

/** A mapping of a process. Addresses and offsets in bytes. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  /** The layer that it maps, by its name, and from where; undefined for anonymous memory. */
  readonly layer: { name: string; offset: number } | undefined;
  /** The image's own entry, which may be changed. */
  readonly entry: Fields;
}

/** A run of saved pages: where it belongs, and its place in the file of pages. */
export interface SavedRun {
  readonly start: number;
  readonly end: number;
  readonly at: number;
  readonly run: PageRun;
}

export interface ProcessMemory {
  readonly pid: number;
  /** Mappings that are, or may be, of a layer; ascending. */
  readonly mappings: readonly Mapping[];
  /** Ascending. */
  readonly runs: readonly SavedRun[];
}

const number = (value: unknown): number => Number(value);

/** Names of layers by the ID of the file's entry in `files.img`. */
export const layerFiles = (files: Image): Map<number, string> =>
  new Map(
    files.entries.flatMap(({ message }) => {
      const file = message['reg'] as Fields | undefined;
      const name = typeof file?.['name'] === 'string' ? file['name'] : '';
      return name.startsWith(`${MEMORY_DIRECTORY}/`)
        ? [[number(message['id']), basename(name)] as const]
        : [];
    }),
  );

const isMovable = (entry: Fields): boolean => {
  const [status, flags] = [number(entry['status']), number(entry['flags'])];
  if ((status & SPECIAL) !== 0 || (status & REGULAR) === 0 || (status & ANONYMOUS_PRIVATE) === 0)
    return false;
  return (
    (flags & KEPT_OUT) === 0 && (BigInt((entry['madv'] as bigint | undefined) ?? 0) & ADVICE_KEPT_OUT) === 0n
  );
};

const mappingOf = (entry: Fields, layers: ReadonlyMap<number, string>): Mapping | undefined => {
  const range = { start: number(entry['start']), end: number(entry['end']), entry };
  const name =
    (number(entry['status']) & FILE_PRIVATE) !== 0 ? layers.get(number(entry['shmid'])) : undefined;
  if (name !== undefined) return { ...range, layer: { name, offset: number(entry['pgoff']) } };
  return isMovable(entry) ? { ...range, layer: undefined } : undefined;
};

const vmasOf = (mm: Image): Fields[] => (mm.entries[0]?.message['vmas'] as Fields[] | undefined) ?? [];

/** Pages that MADV_GUARD_INSTALL made a trap of: the engine lists them as mappings, behind all others. */
const guardsIn = (vmas: readonly Fields[]): { start: number; end: number }[] =>
  vmas
    .filter((entry) => (number(entry['status']) & AREA_GUARD) !== 0)
    .map((entry) => ({ start: number(entry['start']), end: number(entry['end']) }));

/**
 * All mappings of one process's `mm` image that are, or may be, of a layer. Those with guard pages stay out: to discard them leaves these
 * pages what they are, and memory made anew does not have them.
 */
export const mappingsOf = (mm: Image, layers: ReadonlyMap<number, string>): Mapping[] => {
  const vmas = vmasOf(mm);
  const guards = guardsIn(vmas);
  return vmas
    .map((entry) => mappingOf(entry, layers))
    .filter((mapping) => mapping !== undefined)
    .filter(
      ({ layer, start, end }) =>
        layer !== undefined || !guards.some((at) => at.start < end && at.end > start),
    );
};

/** Where the runs of a page map lie in its file of pages. */
export const placeRuns = (runs: readonly PageRun[]): SavedRun[] => {
  let at = 0;
  return runs
    .filter(({ flags }) => (flags & PAGES.present) !== 0)
    .map((run) => {
      const placed = { start: run.vaddr, end: run.vaddr + run.pages * PAGE, at, run };
      at += run.pages * PAGE;
      return placed;
    });
};

const AREA_HEAP = 1 << 5;
const MAP_NORESERVE = 0x4000;
/** SEQUENTIAL, RANDOM, MERGEABLE, HUGEPAGE, NOHUGEPAGE, DONTDUMP. */
const SHOWS_IN_NOTHING = [2n, 1n, 12n, 14n, 15n, 16n].reduce((all, bit) => all | (1n << bit), 0n);

const areParts = (one: Fields, next: Fields): boolean => {
  const same = (key: string, loose: number): boolean =>
    (number(one[key]) & ~loose) === (number(next[key]) & ~loose);
  const advice = (entry: Fields): bigint =>
    BigInt((entry['madv'] as bigint | undefined) ?? 0) & ~SHOWS_IN_NOTHING;
  return (
    number(one['end']) === number(next['start']) &&
    [one, next].every(isMovable) &&
    same('prot', 0) &&
    same('status', AREA_HEAP) &&
    same('flags', MAP_NORESERVE) &&
    advice(one) === advice(next)
  );
};

/**
 * Makes one of adjacent anonymous mappings that differ in nothing a program can see. A guarded program may have made them as one, and
 * would be refused when it moves them (mremap(2)): the kernel itself does not join what has been written apart.
 */
export const joinParts = (mm: Image): void => {
  const message = mm.entries[0]?.message;
  if (!message) return;
  const joined: Fields[] = [];
  for (const entry of vmasOf(mm)) {
    const last = joined.at(-1);
    if (last && areParts(last, entry)) last['end'] = entry['end'];
    else joined.push(entry);
  }
  message['vmas'] = joined;
};

/** Makes a mapping one of a layer. */
export const mapLayer = ({ entry }: Mapping, fileId: number, offset: number): void => {
  entry['status'] = (number(entry['status']) & ~ANONYMOUS_PRIVATE) | FILE_PRIVATE;
  entry['flags'] = number(entry['flags']) & ~MAP_ANONYMOUS;
  entry['shmid'] = BigInt(fileId);
  entry['pgoff'] = BigInt(offset);
};

/** Makes a mapping of a layer anonymous again. */
export const unmapLayer = ({ entry }: Mapping): void => {
  entry['status'] = (number(entry['status']) & ~FILE_PRIVATE) | ANONYMOUS_PRIVATE;
  entry['flags'] = number(entry['flags']) | MAP_ANONYMOUS;
  entry['shmid'] = 0n;
  entry['pgoff'] = 0n;
};
