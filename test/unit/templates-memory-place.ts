/** A process's memory that tests make up: parts with contents, and what they may be used for. */
import type { MemoryMapping } from '../../src/criu/index.ts';
import { OVERLAP } from '../../src/templates/memory/saved-memory.ts';
import type { Memory, Window } from '../../src/templates/memory/saved-memory.ts';

export interface Part {
  readonly start: number;
  readonly bytes: Buffer;
  readonly executable?: boolean;
  readonly writable?: boolean;
}

/** Windows of `size` bytes, as `SavedMemory` has them: what is adjacent in one need not be adjacent in memory. */
function* windowsOf(parts: readonly Part[], size: number): Generator<Window> {
  const all = Buffer.concat([Buffer.alloc(OVERLAP), ...parts.map(({ bytes }) => bytes)]);
  const addressOf = (position: number): number => {
    let left = position;
    for (const { start, bytes } of parts) {
      if (left < bytes.length) return start + left;
      left -= bytes.length;
    }
    return -1;
  };
  for (let at = 0; at + OVERLAP < all.length; at += size)
    yield {
      bytes: Buffer.from(all.subarray(at, at + OVERLAP + size)),
      addressOf: (index) => addressOf(at + index - OVERLAP),
    };
}

export const memoryOf = (
  parts: readonly Part[],
  environment: { start: number; end: number } = { start: 0, end: 0 },
  windowSize = 4096,
): Memory => {
  const mappings = parts
    .map(({ start, bytes, executable = false, writable = !executable }): MemoryMapping => ({
      start,
      end: start + bytes.length,
      readable: true,
      writable,
      executable,
      isPrivate: true,
      ofFile: executable,
      wiped: false,
      entry: {},
    }))
    .toSorted((a, b) => a.start - b.start);
  const partAt = (address: number): Part | undefined =>
    parts.find(({ start, bytes }) => address >= start && address < start + bytes.length);
  const mappingAt = (address: number): MemoryMapping | undefined =>
    mappings.find(({ start, end }) => address >= start && address < end);
  const written = parts.filter(({ executable = false, writable = !executable }) => writable);
  return {
    environment,
    mappings,
    mappingAt,
    isWritable: (address, length) => {
      const found = mappingAt(address);
      return found?.writable === true && address + length <= found.end;
    },
    windows: () => windowsOf(written, windowSize),
    read: (address, length) => {
      const part = partAt(address);
      const from = address - (part?.start ?? 0);
      return part && from + length <= part.bytes.length
        ? Buffer.from(part.bytes.subarray(from, from + length))
        : undefined;
    },
  };
};
