/**
 * One pass over a process's memory, in which everything is looked for at once. What it returns are places that may be what they look
 * like: each is then read and held against all that it must be.
 */
import { endianness } from 'node:os';
import { OVERLAP } from './saved-memory.ts';
import type { Window } from './saved-memory.ts';

/** Two words that a structure has at a place of its own, as 32-bit halves; checked at addresses that are multiples of `align` only. */
export interface Mark {
  readonly low: number;
  readonly high: number;
  readonly align: number;
}

export interface Wanted {
  /** Bytes that are looked for everywhere. */
  readonly needles: readonly Buffer[];
  /** Addresses that aligned words may hold. */
  readonly targets: ReadonlySet<number>;
  readonly marks: readonly Mark[];
}

export interface Sightings {
  /** Addresses of each needle. */
  readonly needles: readonly number[][];
  /** Words that hold one of the addresses: where, and which. */
  readonly words: readonly { at: number; value: number }[];
  /** Addresses of each mark. */
  readonly marks: readonly number[][];
}

const WORD = 8;
const HALF = 2 ** 32;
/** Upper halves of addresses in user space are below this. */
const UPPER_HALVES = 1 << 15;
/** So many first bytes of a needle are looked for; its owner looks at the others. */
const LOOKED_FOR = 128;

/** So many first bytes are what several needles may have in common. */
const COMMON = 8;

/** Needles by their first bytes, each of which is looked for once. */
const groupNeedles = (
  needles: readonly Buffer[],
): [prefix: Buffer, members: [index: number, needle: Buffer][]][] => {
  const groups = Map.groupBy([...needles.entries()], ([, needle]) => needle.toString('latin1', 0, COMMON));
  return [...groups.values()].map((members) => {
    const [[, first] = [0, Buffer.alloc(0)]] = members;
    return [members.length === 1 ? first : first.subarray(0, COMMON), members];
  });
};

const findNeedles = (
  groups: ReturnType<typeof groupNeedles>,
  { bytes, addressOf }: Window,
  found: number[][],
): void => {
  for (const [prefix, members] of groups)
    for (let at = bytes.indexOf(prefix); at >= 0; at = bytes.indexOf(prefix, at + 1))
      for (const [index, needle] of members) {
        const end = at + needle.length;
        // One that ends in the part before was seen with the window before.
        if (end > OVERLAP && end <= bytes.length && bytes.compare(needle, 0, needle.length, at, end) === 0)
          found[index]?.push(addressOf(at));
      }
};

/** Which upper halves the targets have: nearly all words of memory have another one. */
const halvesOf = (targets: ReadonlySet<number>): Uint8Array => {
  const halves = new Uint8Array(UPPER_HALVES);
  for (const target of targets) halves[Math.floor(target / HALF)] = 1;
  return halves;
};

/**
 * Indices of words that have one of these lower halves, or an upper one that is marked. This is where the time goes: hundreds of millions
 * of words, so there is nothing in it but numbers.
 */
const sift = (half: Int32Array, first: number, second: number, halves: Uint8Array, hits: number[]): void => {
  for (let index = 0; index < half.length; index += 2) {
    const low = half[index] as number;
    const high = half[index + 1] as number;
    if (low === first || low === second) hits.push(index);
    else if (high > 0 && high < UPPER_HALVES && halves[high] === 1) hits.push(index);
  }
};

type Look = (window: Window) => void;

const wordLook = (wanted: Wanted, words: { at: number; value: number }[], marks: number[][]): Look => {
  const { targets } = wanted;
  const halves = halvesOf(targets);
  const [first = -1, second = -1] = wanted.marks.map(({ low }) => low | 0);
  return ({ bytes, addressOf }) => {
    const fresh = bytes.subarray(OVERLAP);
    const half = new Int32Array(fresh.buffer, fresh.byteOffset, (fresh.length - (fresh.length % WORD)) / 4);
    const hits: number[] = [];
    sift(half, first, second, halves, hits);
    for (const index of hits) {
      const [low, high] = [fresh.readUInt32LE(index * 4), fresh.readUInt32LE(index * 4 + 4)];
      const value = high * HALF + low;
      if (targets.has(value)) words.push({ at: addressOf(OVERLAP + index * 4), value });
      for (const [which, mark] of wanted.marks.entries()) {
        if (mark.low !== low || mark.high !== high) continue;
        const at = addressOf(OVERLAP + index * 4);
        if (at % mark.align === 0) marks[which]?.push(at);
      }
    }
  };
};

/** Looks for all of it; there are two marks at most. Addresses ascend. */
export const scan = (windows: Iterable<Window>, wanted: Wanted): Sightings => {
  if (endianness() !== 'LE')
    throw new Error('memory is read on machines whose words begin with their lowest byte');
  const needles = wanted.needles.map((needle) => needle.subarray(0, LOOKED_FOR));
  const groups = groupNeedles(needles);
  const found = needles.map((): number[] => []);
  const words: { at: number; value: number }[] = [];
  const marks = wanted.marks.map((): number[] => []);
  const look = wordLook(wanted, words, marks);
  for (const window of windows) {
    findNeedles(groups, window, found);
    look(window);
  }
  return { needles: found, words, marks };
};
