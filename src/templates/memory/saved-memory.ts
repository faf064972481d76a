/**
 * The private memory of one saved process: pages that the engine saved, and below them the layers that it maps. It can be read from
 * beginning to end in large windows, which is fast, and anywhere, which is exact.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage, processSpace, readPagemap } from '../../criu/index.ts';
import type { Image, MemoryMapping, Schema } from '../../criu/index.ts';
import { contentsOf, layerFiles, placeRuns, readInto } from '../../snapshots/index.ts';

const PAGE = 4096;
/** Contents of files are known by parts of this size at least. */
const BLOCK = 512;
/** As much as stays in a processor's cache while it is searched several times. */
const WINDOW = 1 << 19;
/** No structure that is looked for is longer, so none is missed where two windows meet. */
export const OVERLAP = 512;
const CACHED_PAGES = 4096;

/** Contents of memory in a file; `position` counts all pieces before it, as if they were one. */
interface Piece {
  readonly address: number;
  readonly length: number;
  readonly file: number;
  readonly offset: number;
  readonly position: number;
}

export interface Window {
  /** `OVERLAP` bytes of the window before, then new ones. What is adjacent here need not be so in memory. */
  readonly bytes: Buffer;
  /** The address of the byte at an index. */
  readonly addressOf: (index: number) => number;
}

/** As much of it as is needed to tell what is what. */
export type Memory = Pick<
  SavedMemory,
  'environment' | 'mappings' | 'mappingAt' | 'isWritable' | 'windows' | 'read'
>;

export interface SavedProcess {
  readonly schema: Schema;
  /** Directory of the images. */
  readonly images: string;
  readonly pid: number;
  /** Paths of layers by their names. */
  readonly layers: Readonly<Record<string, string>>;
}

/** How many come first whose key is not greater; keys ascend. */
const countAtMost = <T>(list: readonly T[], key: (one: T) => number, value: number): number => {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (key(list[middle] as T) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
};

const lastAtMost = <T>(list: readonly T[], key: (one: T) => number, value: number): T | undefined =>
  list[countAtMost(list, key, value) - 1];

export class SavedMemory {
  readonly environment: { readonly start: number; readonly end: number };
  /** All of them, ascending. */
  readonly mappings: readonly MemoryMapping[];
  /** Of memory that can be written, and of all that is private; both ascending. */
  readonly #written: readonly Piece[];
  readonly #all: readonly Piece[];
  /** Mappings of a file whose pages, where none were saved, are the file's. */
  readonly #files = new Set<MemoryMapping>();
  readonly #open: number[] = [];
  readonly #pages = new Map<number, Buffer | undefined>();

  /** Opens files, which `close` closes. Throws `ImageError`, or the file system's error. */
  constructor(saved: SavedProcess) {
    const image = (name: string): Image =>
      decodeImage(saved.schema, name, readFileSync(join(saved.images, name)));
    const { environment, mappings } = processSpace(image(`mm-${saved.pid}.img`));
    this.environment = environment;
    this.mappings = mappings.toSorted((a, b) => a.start - b.start);
    try {
      const names = layerFiles(image('files.img'));
      const own = this.mappings.filter((one) => one.isPrivate && one.readable && !one.wiped);
      this.#all = this.#piecesOf(saved, own, names);
    } catch (error) {
      this.close();
      throw error;
    }
    let position = 0;
    this.#written = this.#all
      .filter(({ address }) => this.mappingAt(address)?.writable)
      .map((piece) => {
        position += piece.length;
        return { ...piece, position: position - piece.length };
      });
  }

  #piecesOf(
    saved: SavedProcess,
    mappings: readonly MemoryMapping[],
    names: ReadonlyMap<number, string>,
  ): Piece[] {
    const name = `pagemap-${saved.pid}.img`;
    const { pagesId, runs } = readPagemap(name, readFileSync(join(saved.images, name)));
    const placed = placeRuns(runs);
    const pages = this.#opened(join(saved.images, `pages-${pagesId}.img`));
    const layers = new Map<string, number>();
    return mappings.flatMap((mapping) => {
      const layer = this.#layerOf(mapping, names);
      if (layer && !layers.has(layer.name)) {
        const path = saved.layers[layer.name];
        if (path === undefined) throw new Error(`the layer ${layer.name} is missing`);
        layers.set(layer.name, this.#opened(path));
      }
      const { start, end, entry } = mapping;
      return [...contentsOf({ start, end, entry, layer }, placed, { pages, layers })].map(
        ({ at, length, file, offset }) => ({ address: start + at, length, file, offset, position: 0 }),
      );
    });
  }

  #layerOf(
    mapping: MemoryMapping,
    names: ReadonlyMap<number, string>,
  ): { name: string; offset: number } | undefined {
    if (!mapping.ofFile) return undefined;
    const name = names.get(Number(mapping.entry['shmid']));
    if (name !== undefined) return { name, offset: Number(mapping.entry['pgoff']) };
    this.#files.add(mapping);
    return undefined;
  }

  #opened(path: string): number {
    const descriptor = openSync(path, 'r');
    this.#open.push(descriptor);
    return descriptor;
  }

  close(): void {
    this.#open.splice(0).forEach((descriptor) => closeSync(descriptor));
  }

  mappingAt(address: number): MemoryMapping | undefined {
    const found = lastAtMost(this.mappings, ({ start }) => start, address);
    return found && address < found.end ? found : undefined;
  }

  /** Whether a private mapping that can be written has all of these bytes. */
  isWritable(address: number, length: number): boolean {
    const found = this.mappingAt(address);
    return found?.isPrivate === true && found.writable && !found.wiped && address + length <= found.end;
  }

  /** Everything that was saved of memory that can be written. The bytes of a window change when the next one is asked for. */
  *windows(): Generator<Window> {
    const buffer = Buffer.alloc(OVERLAP + WINDOW);
    const last = this.#written.at(-1);
    const total = last ? last.position + last.length : 0;
    for (let begin = 0; begin < total; begin += WINDOW) {
      const end = Math.min(begin + WINDOW, total);
      buffer.copyWithin(0, WINDOW);
      for (let at = begin; at < end;)
        at += this.#take(at, buffer.subarray(OVERLAP + at - begin, OVERLAP + end - begin));
      const addressOf = (index: number): number => {
        const position = begin + index - OVERLAP;
        const piece = lastAtMost(this.#written, (one) => one.position, position);
        return piece ? piece.address + position - piece.position : -1;
      };
      yield { bytes: buffer.subarray(0, OVERLAP + end - begin), addressOf };
    }
  }

  /** Reads what is at a position, and as much behind it as its file has in one stretch. Returns how much. */
  #take(position: number, into: Buffer): number {
    const pieces = this.#written;
    const index = countAtMost(pieces, (one) => one.position, position) - 1;
    const first = pieces[index] as Piece;
    let end = first.position + first.length;
    let next = index + 1;
    for (; end < position + into.length; next += 1) {
      const [one, before] = [pieces[next], pieces[next - 1] as Piece];
      if (one?.file !== first.file || one.offset !== before.offset + before.length) break;
      end += one.length;
    }
    const length = Math.min(into.length, end - position);
    const from = first.offset + position - first.position;
    readInto(first.file, from, from + length, into.subarray(0, length));
    return length;
  }

  /** Undefined when the page is not the process's own, cannot be read, or is what a file has there. */
  #page(address: number): Buffer | undefined {
    if (this.#pages.has(address)) return this.#pages.get(address);
    if (this.#pages.size >= CACHED_PAGES) this.#pages.clear();
    const page = this.#readPage(address);
    this.#pages.set(address, page);
    return page;
  }

  #readPage(address: number): Buffer | undefined {
    const mapping = this.mappingAt(address);
    if (!mapping?.isPrivate || !mapping.readable || mapping.wiped) return undefined;
    const page = Buffer.alloc(PAGE);
    let found = false;
    for (let at = address; at < address + PAGE;) {
      const piece = lastAtMost(this.#all, (one) => one.address, at);
      const end = piece ? Math.min(piece.address + piece.length, address + PAGE) : 0;
      if (!piece || end <= at) {
        at += BLOCK;
        continue;
      }
      const from = piece.offset + at - piece.address;
      readInto(piece.file, from, from + end - at, page.subarray(at - address, end - address));
      found = true;
      at = end;
    }
    return found || !this.#files.has(mapping) ? page : undefined;
  }

  /** The bytes at an address, all in one mapping; undefined when some of them are not known. */
  read(address: number, length: number): Buffer | undefined {
    const mapping = this.mappingAt(address);
    if (!mapping || address + length > mapping.end) return undefined;
    const bytes = Buffer.alloc(length);
    for (let at = address; at < address + length;) {
      const within = at % PAGE;
      const page = this.#page(at - within);
      if (!page) return undefined;
      at += page.copy(bytes, at - address, within, Math.min(PAGE, within + address + length - at));
    }
    return bytes;
  }
}
