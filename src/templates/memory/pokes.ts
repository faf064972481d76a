/** What a clone's memory gets before its first instruction: planned from what was found in its template, then written. */
import { writeProcessMemory } from '../../kernel/index.ts';
import { NAME_FIELD, cellContents, nodeNameField } from './names.ts';
import { SpareRoom } from './spare.ts';
import type { KnownString, Missing, Personality, Poke, ProcessPersonality } from './types.ts';
import { stringOf } from './variables.ts';

/** What a clone is. */
export interface CloneFacts {
  /** New values, by name; of those that were looked for. */
  readonly variables: Readonly<Record<string, string>>;
  readonly hostname: string;
  /** Whole and not negative. */
  readonly generation: number;
  /** So many random bytes. */
  readonly random: (size: number) => Buffer;
}

const SEED_BYTES = 32;
/** No process has this ID. */
const NOBODY = 0;

const numberBytes = (value: number, size: 4 | 8): Buffer => {
  const bytes = Buffer.alloc(size);
  if (size === 4) bytes.writeUInt32LE(value);
  else bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

type Write = (at: number, bytes: Buffer) => void;

/** In its place, filled up with zeros, or in spare memory, to which the arrays then point. False when neither is possible. */
const placeString = (
  text: Buffer,
  { at, room, pointers }: KnownString,
  move: () => number | undefined,
  write: Write,
): boolean => {
  if (text.length <= room) {
    write(at, Buffer.concat([text], room));
    return true;
  }
  const moved = pointers.length > 0 ? move() : undefined;
  if (moved === undefined) return false;
  for (const pointer of pointers) write(pointer, numberBytes(moved, 8));
  return true;
};

/** Returns the names of variables that the process does not see; `names` are those that were looked for. */
const placeVariables = (
  { pid, variables: known, spare, overwritten }: ProcessPersonality,
  names: readonly string[],
  variables: Readonly<Record<string, string>>,
  write: Write,
): Missing[] => {
  const room = new SpareRoom(spare);
  const missing: Missing[] = [];
  for (const [name, value] of Object.entries(variables)) {
    const text = stringOf(name, value);
    if (text.indexOf(0) !== text.length - 1) throw new TypeError(`${name} has a value with a zero byte`);
    const strings = known[name] ?? [];
    let moved: number | undefined;
    const move = (): number | undefined => {
      if (moved !== undefined) return moved;
      moved = room.take(text.length);
      if (moved !== undefined) write(moved, text);
      return moved;
    };
    const placed = strings.map((one) => placeString(text, one, move, write));
    if (placed.includes(false)) missing.push({ pid, name, reason: 'no room' });
    else if (placed.length === 0 && (overwritten || !names.includes(name)))
      missing.push({ pid, name, reason: 'absent' });
  }
  const { header } = room;
  if (header) write(header.at, header.bytes);
  return missing;
};

/**
 * Plans all writes for one clone, and tells which variables which processes will not see. Pure, but for `random`. Throws `TypeError` for a
 * value with a zero byte, and for a host name that is too long for one.
 */
export const pokesFor = (
  { names, processes }: Personality,
  { variables, hostname, generation, random }: CloneFacts,
): { pokes: Poke[]; missing: Missing[] } => {
  if (Buffer.byteLength(hostname) >= NAME_FIELD)
    throw new TypeError(`${hostname} is too long for a host name`);
  const pokes: Poke[] = [];
  const missing = processes.flatMap((process) => {
    const { pid, nodeNames, generators, cells } = process;
    const write: Write = (at, bytes) => pokes.push({ pid, at, bytes });
    const unseen = placeVariables(process, names, variables, write);
    for (const at of nodeNames) write(at, nodeNameField(hostname));
    for (const at of generators) write(at, numberBytes(NOBODY, 4));
    for (const at of cells) {
      const { offset, bytes } = cellContents(generation, random(SEED_BYTES));
      write(at + offset, bytes);
    }
    return unseen;
  });
  return { pokes, missing };
};

/**
 * Writes into processes that do not run, also where memory comes lazily. `systemPid` tells the ID on this machine of a process inside.
 * Throws `KernelError`, with the address of what cannot be written; what was written by then stays, and the clone must not run.
 */
export const applyPokes = (pokes: readonly Poke[], systemPid: (pid: number) => number): void => {
  for (const [pid, own] of Map.groupBy(pokes, (poke) => poke.pid)) writeProcessMemory(systemPid(pid), own);
};
