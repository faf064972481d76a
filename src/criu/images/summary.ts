/** What a dump holds, in plain words: what two snapshots are compared by, and what a template says of its resources. */
import type { Fields } from '../schema.ts';
import { numberIn, numbers, part, parts, textIn } from './access.ts';
import type { Image } from './codec.ts';
import { SavedFiles } from './files.ts';
import { ipcOf } from './ipc.ts';
import type { SavedIpc } from './ipc.ts';
import { locksOf, objectsOf } from './objects.ts';
import type { SavedLock, SavedObject } from './objects.ts';
import type { SavedSocket } from './sockets.ts';

export type MappingKind =
  'anonymous' | 'heap' | 'stack' | 'kernel' | 'file' | 'shared file' | 'shared memory' | 'system v' | 'other';

export interface SavedMapping {
  /** Addresses in hexadecimal, as in `/proc/PID/maps`; `end` is the first byte behind it. */
  readonly start: string;
  readonly end: string;
  readonly bytes: number;
  /** Such as `rw-`. */
  readonly prot: string;
  readonly kind: MappingKind;
  /** Of a mapped file, or the name of memory; empty for others. */
  readonly path: string;
  /** Whether a layer is below it. */
  readonly layered: boolean;
  /** What all mappings of the same memory that is shared have in common; 0 for others. */
  readonly same: number;
}

export interface SavedDescriptor {
  readonly fd: number;
  /** A path, or what it is. */
  readonly what: string;
}

export interface SavedProcess {
  /** As the application sees it. */
  readonly pid: number;
  readonly parent: number;
  /** The name that the kernel shows. */
  readonly name: string;
  readonly threads: number;
  /** Empty for one that has ended. */
  readonly workingDirectory: string;
  /** Empty for one that has ended and was not waited for. */
  readonly mappings: readonly SavedMapping[];
  readonly descriptors: readonly SavedDescriptor[];
}

export interface DumpSummary {
  readonly processes: readonly SavedProcess[];
  readonly sockets: readonly SavedSocket[];
  readonly objects: readonly SavedObject[];
  readonly locks: readonly SavedLock[];
  readonly systemV: readonly SavedIpc[];
}

/** `MAP_GROWSDOWN` of the kernel, which only stacks have. */
const GROWS_DOWN = 0x100;
/** The status of a mapping in CRIU's `criu/include/image.h`, from what is most telling to what is least. */
const KINDS: readonly (readonly [bits: number, kind: MappingKind])[] = [
  // The vsyscall page, the vDSO and its data.
  [(1 << 2) | (1 << 3) | (1 << 12), 'kernel'],
  [1 << 5, 'heap'],
  [1 << 1, 'stack'],
  [1 << 10, 'system v'],
  [1 << 6, 'file'],
  [1 << 7, 'shared file'],
  [1 << 8, 'shared memory'],
  [1 << 9, 'anonymous'],
];

const FILE = 1 << 6;
const SYSTEM_V = 1 << 10;
const MEMORY_FILE = 1 << 14;

/** Where private memory that a snapshot keeps in a layer is mapped from. */
const LAYERS = '/.appshot/memory/';
/** What CRIU calls shared memory that has no name. */
const NAMELESS = 'memfd:/dev/zero';

/** What a mapping is, and of which file. */
const natureOf = (mapping: Fields, files: SavedFiles): Pick<SavedMapping, 'kind' | 'path'> => {
  const status = numberIn(mapping, 'status');
  const kind = KINDS.find(([bits]) => (status & bits) !== 0)?.[1] ?? 'other';
  const path = kind === 'file' || kind === 'shared file' ? files.path(numberIn(mapping, 'shmid')) : '';
  if (path === NAMELESS) return { kind: 'shared memory', path: '' };
  if (kind !== 'anonymous' && !path.startsWith(LAYERS)) return { kind, path };
  const growsDown = (numberIn(mapping, 'flags') & GROWS_DOWN) !== 0;
  return { kind: growsDown ? 'stack' : 'anonymous', path: '' };
};

const isLayered = (mapping: Fields, files: SavedFiles): boolean =>
  (numberIn(mapping, 'status') & FILE) !== 0 && files.path(numberIn(mapping, 'shmid')).startsWith(LAYERS);

/** Memory that is a file by its inode, segments by their ID. */
const sameIn = (mapping: Fields, files: SavedFiles): number => {
  const status = numberIn(mapping, 'status');
  const id = numberIn(mapping, 'shmid');
  if ((status & SYSTEM_V) !== 0) return id;
  return (status & MEMORY_FILE) === 0 ? 0 : numberIn(part(files.entry(id), 'memfd'), 'inodeId');
};

const PROTECTIONS = ['r', 'w', 'x'];

const mappingOf = (mapping: Fields, files: SavedFiles): SavedMapping => {
  const [start, end] = [mapping['start'] as bigint, mapping['end'] as bigint];
  const prot = numberIn(mapping, 'prot');
  return {
    start: start.toString(16),
    end: end.toString(16),
    bytes: Number(end - start),
    prot: PROTECTIONS.map((letter, bit) => (prot & (1 << bit) ? letter : '-')).join(''),
    ...natureOf(mapping, files),
    layered: isLayered(mapping, files),
    same: sameIn(mapping, files),
  };
};

/** Describes a dump by its decoded images; `pagemap-*` and what has no part in it may be left out. */
export const describeImages = (images: readonly Image[]): DumpSummary => {
  const byName = new Map(images.map((image) => [image.name, image.entries.map(({ message }) => message)]));
  const all = (name: string): Fields[] => byName.get(name) ?? [];
  const files = new SavedFiles(images);
  const descriptorsOf = (pid: number): Fields[] => {
    const [ids] = all(`ids-${pid}.img`);
    return ids ? all(`fdinfo-${numberIn(ids, 'filesId')}.img`) : [];
  };
  const processOf = (item: Fields): SavedProcess => {
    const pid = numberIn(item, 'pid');
    const [core] = all(`core-${pid}.img`);
    const [memory] = all(`mm-${pid}.img`);
    const [place] = all(`fs-${pid}.img`);
    return {
      pid,
      parent: numberIn(item, 'ppid'),
      name: textIn(part(core, 'tc'), 'comm'),
      threads: numbers(item, 'threads').length,
      workingDirectory: files.path(numberIn(place, 'cwdId')),
      mappings: parts(memory, 'vmas').map((mapping) => mappingOf(mapping, files)),
      descriptors: descriptorsOf(pid)
        .map((one) => ({ fd: numberIn(one, 'fd'), what: files.text(numberIn(one, 'id')) }))
        .toSorted((a, b) => a.fd - b.fd),
    };
  };
  const processes = all('pstree.img').map(processOf);
  const holders = processes.map(({ pid }) => ({ pid, fds: descriptorsOf(pid) }));
  return {
    processes,
    sockets: files.sockets,
    objects: objectsOf(files, holders, all),
    locks: locksOf(files, holders, all),
    systemV: ipcOf(images),
  };
};
