/** Host names that a program keeps as uname(2) gave them, and cells that it keeps for its generation. */
import type { Memory } from './saved-memory.ts';
import type { Mark } from './scan.ts';

/** Each field of `struct utsname`: system, node, release, version, machine, domain. */
export const NAME_FIELD = 65;
const FIELDS = 6;

const field = (text: string): Buffer => {
  const bytes = Buffer.alloc(NAME_FIELD);
  bytes.write(text, 'latin1');
  return bytes;
};

/** The beginning of a `struct utsname` with this host name. */
export const nodeNeedle = (hostname: string): Buffer => Buffer.concat([field('Linux'), field(hostname)]);

const isText = (bytes: Buffer): boolean => {
  const end = bytes.indexOf(0);
  return end >= 0 && bytes.subarray(0, end).every((byte) => byte >= 0x20);
};

/** Addresses of the node's name; `sightings` are those of the needle's first bytes. */
export const findNodeNames = (memory: Memory, hostname: string, sightings: readonly number[]): number[] => {
  const needle = nodeNeedle(hostname);
  return sightings.flatMap((at) => {
    const name = memory.read(at, NAME_FIELD * FIELDS);
    if (!name?.subarray(0, needle.length).equals(needle) || !memory.isWritable(at, name.length)) return [];
    const fields = Array.from({ length: FIELDS }, (_, index) =>
      name.subarray(index * NAME_FIELD, (index + 1) * NAME_FIELD),
    );
    const isRelease = /^\d+\.\d+/.test(fields[2]?.toString('latin1') ?? '');
    return isRelease && fields.every(isText) ? [at + NAME_FIELD] : [];
  });
};

/**
 * A generation cell: 64 aligned bytes, of which the first sixteen are this, then the number of the generation, a reserved zero, and 32
 * bytes of a seed.
 */
const CELL_MAGIC = Buffer.from('AppShotGenCell1\n');
const CELL = { generation: 16, reserved: 24, seed: 32, size: 64 } as const;
export const CELL_MARK: Mark = {
  low: CELL_MAGIC.readUInt32LE(0),
  high: CELL_MAGIC.readUInt32LE(4),
  align: CELL.size,
};
/** Of the bytes of a seed, so many may be zero by chance once in a billion. */
const MAY_BE_ZERO = 4;

/** Nothing yet, or what is random: pointers and texts that follow a mere copy of the magic have more zeros. */
const isSeed = (bytes: Buffer): boolean => {
  const zeros = bytes.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0);
  return zeros === bytes.length || zeros <= MAY_BE_ZERO;
};

export const findCells = (memory: Memory, sightings: readonly number[]): number[] =>
  sightings.filter((at) => {
    const cell = memory.read(at, CELL.size);
    if (!cell?.subarray(0, CELL.generation).equals(CELL_MAGIC)) return false;
    return (
      cell.readUInt32LE(CELL.generation + 4) === 0 &&
      cell.readBigUInt64LE(CELL.reserved) === 0n &&
      isSeed(cell.subarray(CELL.seed)) &&
      memory.isWritable(at, CELL.size)
    );
  });

/** What a clone finds in a cell behind its magic: `seed` are 32 bytes. */
export const cellContents = (generation: number, seed: Buffer): { offset: number; bytes: Buffer } => {
  const bytes = Buffer.alloc(CELL.size - CELL.generation);
  bytes.writeBigUInt64LE(BigInt(generation));
  seed.copy(bytes, CELL.seed - CELL.generation, 0, CELL.size - CELL.seed);
  return { offset: CELL.generation, bytes };
};

/** A host name as uname(2) gives it. */
export const nodeNameField = field;
