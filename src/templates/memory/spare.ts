/**
 * Spare memory: a mapping of a process's own, empty and far from all others, in which a clone's variables stand that are longer than the
 * template's. It says of itself how much of it is used, so that a clone that becomes a template goes on in the one it has.
 */
import type { Memory } from './saved-memory.ts';
import type { Spare } from './types.ts';

const MAGIC = Buffer.from('AppShotSpareMem\n');
const [SIZE_AT, USED_AT] = [16, 24];
const HEADER = 64;
const PAGE = 4096;
const LARGEST = 1 << 24;
/** Strings begin at multiples of this. */
const ALIGNMENT = 16;
/** Where programs of 64 bits have their stack; below it there is as good as nothing. */
const WIDE = 2 ** 32;
/** The middle of a gap is rounded to this, and a smaller gap than so many of these is none. */
const [STEP, STEPS] = [2 << 20, 16];

const rounded = (size: number, to: number): number => Math.ceil(size / to) * to;

export const spareHeader = (size: number, used: number): Buffer => {
  const bytes = Buffer.alloc(HEADER);
  MAGIC.copy(bytes);
  bytes.writeBigUInt64LE(BigInt(size), SIZE_AT);
  bytes.writeBigUInt64LE(BigInt(used), USED_AT);
  return bytes;
};

/** The spare memory that begins at an address; `used` are bytes, of which the first ones are its header. */
const headerAt = (memory: Memory, start: number, size: number): { used: number } | undefined => {
  const header = size <= LARGEST && memory.isWritable(start, size) ? memory.read(start, HEADER) : undefined;
  if (!header?.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const used = Number(header.readBigUInt64LE(USED_AT));
  const isWhole = Number(header.readBigUInt64LE(SIZE_AT)) === size && used >= HEADER && used <= size;
  return isWhole ? { used } : undefined;
};

/** Whether a string is one of ours, which nobody releases. */
export const isInSpare = (memory: Memory, address: number): boolean => {
  const mapping = memory.mappingAt(address);
  return mapping !== undefined && headerAt(memory, mapping.start, mapping.end - mapping.start) !== undefined;
};

const existing = (memory: Memory, bytes: number): Spare | undefined => {
  for (const { start, end, writable, isPrivate } of memory.mappings) {
    const size = end - start;
    if (!writable || !isPrivate || size > LARGEST) continue;
    const header = headerAt(memory, start, size);
    if (header && size - header.used >= bytes) return { at: start, size, used: header.used, added: false };
  }
  return undefined;
};

/** The middle of the largest gap below the stack: whatever the program maps next is put beside what is there. */
const emptyPlace = (memory: Memory): number | undefined => {
  const stack = memory.mappingAt(memory.environment.start);
  if (!stack || stack.start < WIDE) return undefined;
  const below = memory.mappings.filter(({ end }) => end <= stack.start);
  const gaps = below.map(({ end }, index) => ({ end, length: (below[index + 1] ?? stack).start - end }));
  const [largest] = gaps.toSorted((a, b) => b.length - a.length);
  if (!largest || largest.length < STEPS * STEP) return undefined;
  return rounded(largest.end + largest.length / 2, STEP);
};

/** Room for strings, by the lengths of those that there are now: each may become twice as long, and then some. */
export const chooseSpare = (memory: Memory, lengths: readonly number[]): Spare | null => {
  if (lengths.length === 0) return null;
  const bytes = lengths.reduce((sum, length) => sum + rounded(2 * length + 256, ALIGNMENT), 0);
  const known = existing(memory, bytes);
  if (known) return known;
  const at = emptyPlace(memory);
  return at === undefined ? null : { at, size: rounded(HEADER + bytes, PAGE), used: HEADER, added: true };
};

/** Hands out a clone's spare memory, from its beginning on. */
export class SpareRoom {
  readonly #spare: Spare | null;
  #used: number;

  constructor(spare: Spare | null) {
    this.#spare = spare;
    this.#used = spare?.used ?? 0;
  }

  /** The address of so many bytes; undefined when there are not as many. */
  take(length: number): number | undefined {
    const used = this.#used + rounded(length, ALIGNMENT);
    if (!this.#spare || used > this.#spare.size) return undefined;
    const at = this.#spare.at + this.#used;
    this.#used = used;
    return at;
  }

  /** What says how much is used; undefined when nothing was taken. */
  get header(): { at: number; bytes: Buffer } | undefined {
    if (!this.#spare || this.#used === this.#spare.used) return undefined;
    return { at: this.#spare.at, bytes: spareHeader(this.#spare.size, this.#used) };
  }
}
