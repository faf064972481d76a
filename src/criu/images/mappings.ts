/** The mappings of one saved process as plain numbers, and mappings that are added to it. Source: CRIU's `vma.proto` and `criu/include/image.h`. */
import type { Fields, Schema } from '../schema.ts';
import { numberIn, parts } from './access.ts';
import type { Image } from './codec.ts';
import { ImageError } from './error.ts';

/** The status of a mapping, as far as it is asked for. */
const [REGULAR, FILE_PRIVATE, ANONYMOUS_PRIVATE] = [1 << 0, 1 << 6, 1 << 9];
/** Of mmap(2) and madvise(2). */
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const [MAP_PRIVATE, MAP_ANONYMOUS] = [0x02, 0x20];
/** MAP_DROPPABLE is no bit but a type, beside MAP_SHARED (1) and MAP_PRIVATE (2). */
const [MAP_TYPE, MAP_DROPPABLE] = [0x0f, 0x08];
const WIPE_ON_FORK = 1n << 18n;

/** A mapping of a saved process. Addresses in bytes. */
export interface MemoryMapping {
  readonly start: number;
  readonly end: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** What is written to it nobody else sees. */
  readonly isPrivate: boolean;
  /** Pages that were not saved are those of a file, rather than zeros. */
  readonly ofFile: boolean;
  /** A child, or the kernel when it likes, finds zeros there: MADV_WIPEONFORK, MAP_DROPPABLE. */
  readonly wiped: boolean;
  /** The image's own entry. */
  readonly entry: Fields;
}

export interface ProcessSpace {
  /** Where the kernel put the environment when the program began. */
  readonly environment: { readonly start: number; readonly end: number };
  /** In the image's order: ascending, then what the engine adds. */
  readonly mappings: readonly MemoryMapping[];
}

const messageOf = (mm: Image): Fields => {
  const message = mm.entries[0]?.message;
  if (!message) throw new ImageError(mm.name, 'is empty');
  return message;
};

const mappingOf = (entry: Fields): MemoryMapping => {
  const [status, flags, prot] = ['status', 'flags', 'prot'].map((field) => numberIn(entry, field)) as [
    number,
    number,
    number,
  ];
  const advice = BigInt((entry['madv'] as bigint | undefined) ?? 0);
  return {
    start: numberIn(entry, 'start'),
    end: numberIn(entry, 'end'),
    readable: (prot & PROT_READ) !== 0,
    writable: (prot & PROT_WRITE) !== 0,
    executable: (prot & PROT_EXEC) !== 0,
    isPrivate: (status & REGULAR) !== 0 && (status & (FILE_PRIVATE | ANONYMOUS_PRIVATE)) !== 0,
    ofFile: (status & FILE_PRIVATE) !== 0,
    wiped: (advice & WIPE_ON_FORK) !== 0n || (flags & MAP_TYPE) === MAP_DROPPABLE,
    entry,
  };
};

/** Reads an `mm` image. Throws `ImageError` for one without its message. */
export const processSpace = (mm: Image): ProcessSpace => {
  const message = messageOf(mm);
  return {
    environment: { start: numberIn(message, 'mmEnvStart'), end: numberIn(message, 'mmEnvEnd') },
    mappings: parts(message, 'vmas').map(mappingOf),
  };
};

/**
 * Adds anonymous private memory, empty, that the process can read and write. `start` and `size` are whole pages. Throws `ImageError`, and
 * changes nothing, when something is there already.
 */
export const addMapping = (schema: Schema, mm: Image, start: number, size: number): void => {
  const message = messageOf(mm);
  const vmas = parts(message, 'vmas');
  const end = start + size;
  if (vmas.some((entry) => numberIn(entry, 'start') < end && numberIn(entry, 'end') > start))
    throw new ImageError(mm.name, `has memory at ${start.toString(16)} already`);
  const added = schema.make('vma_entry', {
    start: BigInt(start),
    end: BigInt(end),
    pgoff: 0n,
    shmid: 0n,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS,
    status: REGULAR | ANONYMOUS_PRIVATE,
    fd: -1n,
    madv: 0n,
  });
  // Guards and the like stand behind all others, so it goes before the first mapping above it.
  const above = vmas.findIndex((entry) => numberIn(entry, 'start') >= end);
  message['vmas'] = vmas.toSpliced(above < 0 ? vmas.length : above, 0, added);
};
