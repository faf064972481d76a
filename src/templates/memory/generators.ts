/**
 * OpenSSL's random generators, versions 3.0 to 3.6. Each is an object (`struct prov_drbg_st`, in its
 * providers/implementations/rands/drbg_local.h) that remembers the process in which it was last seeded (`fork_id`). Before each use it
 * compares that with its own process ID, and seeds itself again from the kernel, or from its parent, when they differ. So another
 * number in that place is all that a clone needs. Process 0 is nobody's.
 *
 * An object is recognised by everything that is the same in all of them, and by what its numbers can be.
 */
import type { Memory } from './saved-memory.ts';
import type { Mark } from './scan.ts';

const LARGEST_LENGTH = 0x7fffffff;
/** `max_noncelen`, `max_perslen` and `max_adinlen` follow each other and are the largest length, as 64-bit numbers. */
export const GENERATOR_MARK: Mark = { low: LARGEST_LENGTH, high: 0, align: 8 };

/** Offsets of fields, counted from `max_noncelen`: what is behind `fork_id` is the same in all versions. */
const FIELDS = {
  forkId: -48,
  strength: -40,
  maxRequest: -32,
  minEntropy: -24,
  maxEntropy: -16,
  minNonce: -8,
  maxNonce: 0,
  maxPersonal: 8,
  maxAdditional: 16,
  generateCounter: 24,
  reseedInterval: 28,
  reseedTime: 32,
  reseedTimeInterval: 40,
  seedLength: 64,
  state: 72,
  data: 80,
} as const;
/** How many bytes are before `fork_id`: with and without `parent_dispatch`, the youngest of the pointers there. */
const LENGTHS_BEFORE = [120, 112];
const [PROVIDER, INSTANTIATE, FUNCTIONS] = [8, 16, 4];
const LENGTH_BEHIND = 88;

const STRENGTHS = [112, 128, 192, 256];
const MAX_REQUEST = 1 << 16;
const READY = 1;
const LONGEST_SEED = 256;
const LARGEST_INTERVAL = 1 << 24;
const LONGEST_INTERVAL = 1 << 20;
/** No version 3 is older than 2020, and clocks may be wrong by some years. */
const [EARLIEST, LATEST] = [1_577_836_800, 0xffffffff];

const isWithin = (value: number, least: number, most: number): boolean => value >= least && value <= most;

/** What is known of the numbers of an object that has been seeded in this very process. */
const numbersFit = (at: (offset: number) => number, half: (offset: number) => number, pid: number): boolean =>
  half(FIELDS.forkId) === pid &&
  STRENGTHS.includes(half(FIELDS.strength)) &&
  at(FIELDS.maxRequest) === MAX_REQUEST &&
  isWithin(at(FIELDS.minEntropy), 1, LONGEST_SEED) &&
  [FIELDS.maxEntropy, FIELDS.maxNonce, FIELDS.maxPersonal, FIELDS.maxAdditional].every(
    (offset) => at(offset) === LARGEST_LENGTH,
  ) &&
  isWithin(at(FIELDS.minNonce), 0, LONGEST_SEED) &&
  half(FIELDS.generateCounter) >= 1 &&
  half(FIELDS.reseedInterval) <= LARGEST_INTERVAL &&
  isWithin(at(FIELDS.reseedTime), EARLIEST, LATEST) &&
  isWithin(at(FIELDS.reseedTimeInterval), 0, LONGEST_INTERVAL) &&
  isWithin(at(FIELDS.seedLength), 1, LONGEST_SEED) &&
  half(FIELDS.state) === READY;

/** The address of `fork_id`, when there is a generator whose `max_noncelen` is at this address. */
const generatorAt = (memory: Memory, pid: number, address: number): number | undefined => {
  const forkId = address + FIELDS.forkId;
  const isMapped = (pointer: number): boolean => memory.mappingAt(pointer)?.readable === true;
  for (const before of LENGTHS_BEFORE) {
    const object = memory.read(forkId - before, before - FIELDS.forkId + LENGTH_BEHIND);
    if (!object) continue;
    const base = before - FIELDS.forkId;
    const word = (offset: number): number => Number(object.readBigUInt64LE(offset));
    const at = (offset: number): number => word(base + offset);
    if (!numbersFit(at, (offset) => object.readUInt32LE(base + offset), pid)) continue;
    const functions = Array.from({ length: FUNCTIONS }, (_, index) => word(INSTANTIATE + 8 * index));
    const code = memory.mappingAt(functions[0] ?? 0);
    if (!code?.executable || functions.some((one) => memory.mappingAt(one) !== code)) continue;
    if (new Set(functions).size !== FUNCTIONS || ![word(PROVIDER), at(FIELDS.data)].every(isMapped)) continue;
    return memory.isWritable(forkId, 4) ? forkId : undefined;
  }
  return undefined;
};

/** Addresses of `fork_id` in the generators of a process; `sightings` are those of the mark. */
export const findGenerators = (memory: Memory, pid: number, sightings: readonly number[]): number[] => {
  const marked = new Set(sightings);
  return sightings
    .filter((at) => marked.has(at + 8) && marked.has(at + 16))
    .map((at) => generatorAt(memory, pid, at))
    .filter((at) => at !== undefined);
};
