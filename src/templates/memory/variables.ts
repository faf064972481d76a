/**
 * Environment variables in the memory of a running program: strings `NAME=value`, and the arrays of their addresses that libc calls
 * `environ`. The kernel puts both on the stack when a program begins; setenv(3) and programs like PostgreSQL and bash make new arrays, with
 * strings of their own among the old ones.
 *
 * A string counts when it stands whole in the kernel's block, or when an array has its address: two addresses or more of such
 * strings, side by side, and a zero behind the last. A copy that nothing points to in this way may be anything, and is left alone.
 */
import type { Memory } from './saved-memory.ts';
import { scan } from './scan.ts';
import { isInSpare } from './spare.ts';
import type { KnownString } from './types.ts';

const WORD = 8;
/** Largest environment that is looked at, in bytes, and longest array, in words. */
const LARGEST_BLOCK = 8 << 20;
const LONGEST_ARRAY = 1 << 16;
const LONGEST_NAME = 256;
const ENTRY = /^[\x21-\x3c\x3e-\x7e]+=/;

/** `NAME=value` with its NUL. */
export const stringOf = (name: string, value: string): Buffer => Buffer.from(`${name}=${value}\0`);

/** Where the strings of the kernel's block begin, and what they are, without NUL; as far as they are strings still. */
const blockOf = (memory: Memory): Map<number, string> => {
  const { start, end } = memory.environment;
  const length = end - start;
  const block = length > 0 && length <= LARGEST_BLOCK ? memory.read(start, length) : undefined;
  const strings = new Map<number, string>();
  if (!block || !memory.isWritable(start, length)) return strings;
  for (let from = 0, to; (to = block.indexOf(0, from)) >= 0; from = to + 1)
    strings.set(start + from, block.toString('latin1', from, to));
  return strings;
};

/** Tells arrays of a process from what only looks like one. */
class Arrays {
  readonly #memory: Memory;
  readonly #strings: ReadonlyMap<number, string>;
  readonly #entries = new Map<number, boolean>();

  constructor(memory: Memory, strings: ReadonlyMap<number, string>) {
    this.#memory = memory;
    this.#strings = strings;
  }

  #word(at: number): number | undefined {
    const bytes = this.#memory.read(at, WORD);
    return bytes && Number(bytes.readBigUInt64LE());
  }

  #readEntry(address: number): boolean {
    const known = this.#strings.get(address);
    if (known !== undefined) return ENTRY.test(known);
    const mapping = this.#memory.mappingAt(address);
    if (!mapping?.readable) return false;
    const bytes = this.#memory.read(address, Math.min(LONGEST_NAME, mapping.end - address));
    // A constant of a program is in its file, which nobody reads here.
    return bytes ? ENTRY.test(bytes.toString('latin1')) : mapping.ofFile;
  }

  #isEntry(address: number | undefined): boolean {
    if (address === undefined || address === 0) return false;
    const known = this.#entries.get(address) ?? this.#readEntry(address);
    this.#entries.set(address, known);
    return known;
  }

  /** How many entries follow from `at` on in one direction, and the word that ends them. */
  #walk(at: number, step: number): { count: number; end: number | undefined } {
    for (let count = 0; ; count += 1) {
      const word = this.#word(at + count * step);
      if (count === LONGEST_ARRAY || !this.#isEntry(word)) return { count, end: word };
    }
  }

  /** Whether the word at this address, which has that of an entry, is one of an array. */
  has(at: number): boolean {
    if (at % WORD !== 0 || !this.#memory.isWritable(at, WORD)) return false;
    const behind = this.#walk(at + WORD, WORD);
    if (behind.end !== 0) return false;
    return behind.count > 0 || this.#walk(at - WORD, -WORD).count > 0;
  }
}

type Words = readonly { at: number; value: number }[];

/** A block of the kernel, and the variables that are wanted there. */
export interface Block {
  readonly strings: ReadonlyMap<number, string>;
  /** By the address of the string. */
  readonly wanted: ReadonlyMap<number, string>;
  /** Something in it is no variable. */
  readonly overwritten: boolean;
}

export const readBlock = (memory: Memory, variables: Readonly<Record<string, string>>): Block => {
  const strings = blockOf(memory);
  const texts = new Map(
    Object.entries(variables).map(([name, value]) => [
      stringOf(name, value).toString('latin1').slice(0, -1),
      name,
    ]),
  );
  const wanted = [...strings].flatMap(([at, text]) => {
    const name = texts.get(text);
    return name === undefined ? [] : [[at, name] as const];
  });
  // Where a clone's value was shorter than its template's there are zeros behind it.
  const rest = [...strings.values()].filter((text) => text !== '');
  const { start, end } = memory.environment;
  const overwritten = end > start && !(rest.length > 0 && rest.every((text) => ENTRY.test(text)));
  return { strings, wanted: new Map(wanted), overwritten };
};

interface Copy {
  readonly at: number;
  readonly name: string;
  readonly room: number;
}

/** Strings outside of the block; `sightings` are those of the beginnings of the variables' strings. */
const copiesOf = (
  memory: Memory,
  { strings }: Block,
  variables: Readonly<Record<string, string>>,
  sightings: readonly (readonly number[])[],
): Copy[] =>
  Object.entries(variables).flatMap(([name, value], index) => {
    const text = stringOf(name, value);
    const { start, end } = memory.environment;
    return [...new Set(sightings[index])]
      .filter((at) => !strings.has(at) && (at < start || at >= end))
      .filter((at) => memory.isWritable(at, text.length) && memory.read(at, text.length)?.equals(text))
      .map((at) => ({ at, name, room: text.length }));
  });

/** Seen by the first pass: words with the addresses of the block's strings, and beginnings of strings, by variable. */
export interface VariableSightings {
  readonly words: Words;
  readonly strings: readonly (readonly number[])[];
}

const pointersTo = (address: number, words: Words, arrays: Arrays): number[] =>
  words.filter(({ at, value }) => value === address && arrays.has(at)).map(({ at }) => at);

/** All strings of a process that are known to be its environment, by name. Passes over the memory again when there are copies. */
export const findVariables = (
  memory: Memory,
  variables: Readonly<Record<string, string>>,
  block: Block,
  sightings: VariableSightings,
): Record<string, KnownString[]> => {
  const arrays = new Arrays(memory, block.strings);
  const found: Record<string, KnownString[]> = {};
  const add = (name: string, known: KnownString): unknown => (found[name] ??= []).push(known);
  for (const [at, name] of block.wanted) {
    const room = (block.strings.get(at) ?? '').length + 1;
    add(name, { at, room, pointers: pointersTo(at, sightings.words, arrays) });
  }
  const copies = copiesOf(memory, block, variables, sightings.strings);
  if (copies.length === 0) return found;
  const targets = new Set(copies.map(({ at }) => at));
  const { words } = scan(memory.windows(), { needles: [], marks: [], targets });
  for (const { at, name, room } of copies) {
    const pointers = pointersTo(at, words, arrays);
    if (pointers.length > 0) add(name, { at, room, pointers: isInSpare(memory, at) ? pointers : [] });
  }
  return found;
};
