/**
 * A tree as bytes: lines of JSON, first a header, then the entries in the order of a walk that takes names as they sort. The bytes are an
 * object of the store, and their digest is the tree's name.
 *
 * A tree may come from elsewhere. What is read here is bounded, and every entry's parent is a directory that was listed before it: so no
 * path leads through a symbolic link, none leaves its root, and none is there twice.
 */
import { z } from 'zod';
import { INLINE, Entry, isPath } from './entry.ts';
import type { FileEntry } from './entry.ts';
import { Pace } from './pace.ts';

export const LARGEST_TREE = 256 << 20;
const MOST_ENTRIES = 1_000_000;
const MOST_ROOTS = 1024;
const LINES_AT_ONCE = 256;
const LONGEST_LINE = 4 << 20;
const NEWLINE = 10;

const Header = z.strictObject({
  format: z.literal('appshot-tree'),
  version: z.literal(1),
  roots: z.array(z.string().refine(isPath)).max(MOST_ROOTS),
});

export interface Tree {
  /** Names of the roots, sorted. */
  readonly roots: readonly string[];
  /** In order: a directory before what is in it. */
  readonly entries: readonly Entry[];
}

/** Paths in the order of a walk sort as text when the separator sorts before everything. */
export const sortKey = (path: string): string => path.replaceAll('/', '\0');

export const byPath = (one: string, other: string): number => {
  const [left, right] = [sortKey(one), sortKey(other)];
  return left < right ? -1 : Number(left > right);
};

export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** The bytes of a tree, in pieces. */
export async function* encodeTree({ roots, entries }: Tree): AsyncGenerator<Buffer> {
  yield Buffer.from(`${JSON.stringify({ format: 'appshot-tree', version: 1, roots })}\n`);
  const pace = new Pace();
  for (let at = 0; at < entries.length; at += LINES_AT_ONCE) {
    const lines = entries.slice(at, at + LINES_AT_ONCE).map((entry) => `${JSON.stringify(entry)}\n`);
    yield Buffer.from(lines.join(''));
    if (pace.due) await pace.rest();
  }
}

/** Why bytes are not a tree. */
export class BadTree extends Error {
  constructor(line: number, reason: string) {
    super(`line ${line}: ${reason}`);
    this.name = 'BadTree';
  }
}

/** Reads the bytes of a tree, from wherever they come. Rejects with `BadTree`, and nothing else. */
export const decodeTree = async (bytes: Uint8Array): Promise<Tree> => {
  const pace = new Pace();
  const lines = linesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const { roots } = parse(Header, lines.next().value, 1);
  refuseNested(roots);
  const reader = new Reader(new Set(roots));
  for (const line of lines) {
    reader.take(line);
    if (pace.due) await pace.rest();
  }
  return { roots, entries: reader.finish() };
};

function* linesOf(bytes: Buffer): Generator<Buffer, undefined> {
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, start);
    yield bytes.subarray(start, end === -1 ? bytes.length : end);
    start = end === -1 ? bytes.length : end + 1;
  }
  return undefined;
}

const parse = <T>(schema: z.ZodType<T>, line: Buffer | undefined, number: number): T => {
  if (line === undefined) throw new BadTree(number, 'it is missing');
  if (line.length > LONGEST_LINE) throw new BadTree(number, 'it is too long');
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    throw new BadTree(number, 'it is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new BadTree(number, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it is not valid'}`);
};

/** A root within another would give one file two paths. */
const refuseNested = (roots: readonly string[]): void => {
  for (const [index, root] of roots.entries()) {
    const before = roots[index - 1];
    if (before === undefined) continue;
    if (byPath(before, root) >= 0) throw new BadTree(1, 'the roots are not in order');
    if (root.startsWith(`${before}/`)) throw new BadTree(1, `the root ${root} lies within ${before}`);
  }
};

/** What a file's entry says of its content must fit its size. */
const contentFault = ({ size, data, parts }: FileEntry): string | undefined => {
  if ((data === undefined) === (parts === undefined)) return 'it has either data or parts';
  if (data !== undefined)
    return size <= INLINE && Buffer.from(data, 'base64').length === size
      ? undefined
      : 'its size is not right';
  let end = 0;
  for (const [start, length] of parts ?? []) {
    if (start < end || start + length > size) return 'its parts do not fit';
    end = start + length;
  }
  return undefined;
};

class Reader {
  readonly #roots: Set<string>;
  readonly #directories = new Set<string>();
  /** Paths of what a link may lead to. */
  readonly #files = new Set<string>();
  readonly #entries: Entry[] = [];

  constructor(roots: Set<string>) {
    this.#roots = roots;
  }

  take(line: Buffer): void {
    const number = this.#entries.length + 2;
    if (this.#entries.length === MOST_ENTRIES) throw new BadTree(number, 'there are too many entries');
    const entry = parse(Entry, line, number);
    const fault = this.#orderFault(entry) ?? (entry.type === 'file' ? contentFault(entry) : undefined);
    if (fault !== undefined) throw new BadTree(number, fault);
    if (entry.type === 'directory') this.#directories.add(entry.path);
    else if (entry.type !== 'link') this.#files.add(entry.path);
    this.#entries.push(entry);
  }

  finish(): Entry[] {
    const absent = [...this.#roots].find((root) => !this.#directories.has(root));
    if (absent === undefined) return this.#entries;
    throw new BadTree(this.#entries.length + 2, `the root ${absent} is not a directory`);
  }

  #orderFault(entry: Entry): string | undefined {
    const { path } = entry;
    const before = this.#entries.at(-1)?.path;
    if (before !== undefined && byPath(before, path) >= 0) return 'it is not in order';
    if (!this.#roots.has(path) && !this.#directories.has(parentOf(path))) return 'its directory is missing';
    if (entry.type === 'link' && !this.#files.has(entry.to)) return 'it leads to no file';
    return undefined;
  }
}
