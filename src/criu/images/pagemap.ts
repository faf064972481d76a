/**
 * Pagemaps without a protobuf library: a process of 1.5 GB can have a hundred thousand runs of pages, and a wake or a fold
 * goes through all of them.
 *
 * A head tells the file of the pages, then each run its address, pages and flags. Up to version 4.1 CRIU counts pages in
 * field 2, since then in field 5 and has a zero in field 2. Source: CRIU's `pagemap.proto` and `criu/page-xfer.c`.
 */
import { ImageError } from './error.ts';
import { FrameReader, NUMBER_BYTES, magicsOf, numberBytes } from './frames.ts';

const PAGEMAP_MAGIC = 0x56084025;
const PAGE_BYTES = 4096;

/** What a run's flags say: its pages are in the parent's images, may be restored lazily, are in the pages' file. */
export const PAGES = { parent: 1, lazy: 2, present: 4 } as const;

export interface PageRun {
  /** Address in the process, or offset in shared memory; in bytes, a multiple of the page size. */
  readonly vaddr: number;
  readonly pages: number;
  /** Of `PAGES`. */
  readonly flags: number;
}

export interface Pagemap {
  /** The number in the name of the pages' file, in which the present runs follow each other. */
  readonly pagesId: number;
  readonly runs: readonly PageRun[];
  /** Whether pages are counted as until CRIU 4.1. */
  readonly narrow: boolean;
}

/** Wire types of protobuf: all fields of a pagemap are variable-length integers. */
const VARINT = 0;
/** Fields by their tag, which is their number and their wire type. */
const tag = (field: number): number => (field << 3) | VARINT;
const [FIRST, COMPAT_PAGES, IN_PARENT, FLAGS, WIDE_PAGES] = [tag(1), tag(2), tag(3), tag(4), tag(5)];

/** The fields of one entry, by their tags. */
interface Found {
  first?: number;
  compat?: number;
  inParent?: number;
  flags?: number;
  wide?: number;
}
const KEYS: Readonly<Record<number, keyof Found>> = {
  [FIRST]: 'first',
  [COMPAT_PAGES]: 'compat',
  [IN_PARENT]: 'inParent',
  [FLAGS]: 'flags',
  [WIDE_PAGES]: 'wide',
};

const wrong = (file: string, problem: string, at: number): ImageError =>
  new ImageError(file, `has an entry ${problem}, at byte ${at}`);

/** An integer of an entry, and where the next one begins. Numbers beyond 2^53 are no address. */
const readVarint = (file: string, entry: Buffer, from: number, at: number): [value: number, next: number] => {
  let value = 0;
  let next = from;
  for (let scale = 1; ; scale *= 128) {
    const byte = entry[next++];
    if (byte === undefined) throw wrong(file, 'that ends within a number', at);
    value += (byte & 0x7f) * scale;
    if (value > Number.MAX_SAFE_INTEGER || scale > Number.MAX_SAFE_INTEGER)
      throw wrong(file, 'with too large a number', at);
    if (byte < 0x80) return [value, next];
  }
};

const readEntry = (reader: FrameReader): Found => {
  const { file, at } = reader;
  const entry = reader.message();
  const found: Found = {};
  for (let next = 0; next < entry.length;) {
    const [field, after] = readVarint(file, entry, next, at);
    const key = KEYS[field];
    if (!key) throw wrong(file, 'with an unknown field', at);
    [found[key], next] = readVarint(file, entry, after, at);
  }
  if (found.first === undefined) throw wrong(file, 'without its first field', at);
  return found;
};

/** As CRIU itself understands runs that older versions wrote without flags. */
const flagsOf = ({ flags, inParent }: Found): number => {
  if (inParent) return (flags ?? 0) | PAGES.parent;
  return flags ?? PAGES.present;
};

/** Decodes a pagemap of a process or of shared memory. Throws `ImageError`. */
export const readPagemap = (name: string, bytes: Uint8Array): Pagemap => {
  const reader = new FrameReader(name, bytes);
  reader.magics(PAGEMAP_MAGIC);
  const { first: pagesId = 0 } = readEntry(reader);
  const runs: PageRun[] = [];
  let narrow = false;
  while (!reader.ended) {
    const { at } = reader;
    const found = readEntry(reader);
    const run = { vaddr: found.first ?? 0, pages: found.wide ?? found.compat ?? 0, flags: flagsOf(found) };
    if (run.vaddr + run.pages * PAGE_BYTES > Number.MAX_SAFE_INTEGER)
      throw wrong(name, 'that reaches beyond any address', at);
    narrow ||= found.wide === undefined;
    runs.push(run);
  }
  return { pagesId, runs, narrow };
};

/** The most that an entry can take: its length, and five fields of a tag and at most eight bytes. */
const LARGEST_ENTRY = NUMBER_BYTES + 5 * 9;

class EntryWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(entries: number) {
    this.#bytes = Buffer.allocUnsafe(entries * LARGEST_ENTRY);
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  #varint(value: number): void {
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 128)) this.#bytes[this.#at++] = (left % 128) | 0x80;
    this.#bytes[this.#at++] = left;
  }

  /** Fields in the order of their numbers, as CRIU's writer has them. */
  entry(...fields: readonly number[]): void {
    const start = this.#at;
    this.#at += NUMBER_BYTES;
    for (const number of fields) this.#varint(number);
    this.#bytes.writeUInt32LE(this.#at - start - NUMBER_BYTES, start);
  }
}

/** The bytes of a pagemap, as the CRIU writes it that counts pages so. Numbers are whole and not negative. */
export const writePagemap = ({ pagesId, runs, narrow }: Pagemap): Buffer => {
  const writer = new EntryWriter(runs.length + 1);
  writer.entry(FIRST, pagesId);
  for (const { vaddr, pages, flags } of runs)
    if (narrow) writer.entry(FIRST, vaddr, COMPAT_PAGES, pages, FLAGS, flags);
    else writer.entry(FIRST, vaddr, COMPAT_PAGES, 0, FLAGS, flags, WIDE_PAGES, pages);
  return Buffer.concat([...magicsOf(PAGEMAP_MAGIC).map(numberBytes), writer.written]);
};
