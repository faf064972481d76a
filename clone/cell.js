/**
 * A generation cell (docs/uniqueness.md): 64 aligned bytes in which each clone finds, before its first instruction, its generation and 32
 * fresh random bytes.
 *
 *     0 magic[16]   16 generation, u64 little-endian   24 reserved, 0   32 seed[32]
 *
 * It must be aligned, stay where it is and be private memory outside V8's heap. What can be resized is allocated by V8 in pages of its own,
 * and is all of that.
 */
import { readFileSync } from 'node:fs';

const PAGE = 4096;
const GENERATION = 4;
const SEED = 8;
const SEED_WORDS = 8;
/** "AppShotGenCell1\n" as numbers: a text would lie in the heap as well, and might be taken for a cell there. */
const MAGIC = [65, 112, 112, 83, 104, 111, 116, 71, 101, 110, 67, 101, 108, 108, 49, 10];

const page = new ArrayBuffer(PAGE, { maxByteLength: PAGE });
const words = new Int32Array(page, 0, 16);

/** What the cell would say if it had been there: a program may load this module when it is a clone already. */
const generationSoFar = () => {
  try {
    return Number.parseInt(readFileSync('/.appshot/generation', 'latin1'), 10) || 0;
  } catch {
    return 0;
  }
};

/** For a clone of which the cell was not told. */
export const setGeneration = (generation) => {
  words[GENERATION] = generation;
  words[GENERATION + 1] = Math.floor(generation / 2 ** 32);
};

setGeneration(generationSoFar());
// The magic makes it a cell, so it comes last.
new Uint8Array(page, 0, MAGIC.length).set(MAGIC);

/** The generation's lower half, which is enough to see a change. Atomic, so that no compiler keeps an earlier value. */
export const stamp = () => Atomics.load(words, GENERATION);

export const generation = () =>
  (Atomics.load(words, GENERATION) >>> 0) + (Atomics.load(words, GENERATION + 1) >>> 0) * 2 ** 32;

/** The random bytes of this clone as eight integers; zeros in what is not a clone. */
export const seed = () => words.slice(SEED, SEED + SEED_WORDS);
