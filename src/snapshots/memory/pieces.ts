/** Contents of memory as pieces of files, and what is made of them: windows of a layer, files of pages. */
import { dataExtents } from '../../kernel/index.ts';
import { LayerWriter, WINDOW, readInto } from './layer.ts';
import type { LayerEntry } from '../manifest.ts';
import type { Mapping, SavedRun } from './memory.ts';

/** Bytes that belong at `at` of something, and where they are: a file's descriptor and an offset. */
export interface Piece {
  readonly at: number;
  readonly length: number;
  readonly file: number;
  readonly offset: number;
}

/** Open files with the contents of one process: its pages, and the layers that it maps, by name. */
export interface Sources {
  readonly pages: number;
  readonly layers: ReadonlyMap<string, number>;
}

/** The index of the first run that ends behind `address`. */
const firstBehind = (runs: readonly SavedRun[], address: number): number => {
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((runs[middle] as SavedRun).end <= address) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The runs that meet `[start, end)`, cut to it. */
export function* runsWithin(runs: readonly SavedRun[], start: number, end: number): Generator<SavedRun> {
  for (let index = firstBehind(runs, start); index < runs.length; index += 1) {
    const run = runs[index] as SavedRun;
    if (run.start >= end) return;
    const from = Math.max(run.start, start);
    yield { ...run, start: from, end: Math.min(run.end, end), at: run.at + from - run.start };
  }
}

/** What a mapping holds, in ascending order and without overlap: saved pages, and between them what its layer has. `at` counts from its start. */
export function* contentsOf(mapping: Mapping, runs: readonly SavedRun[], sources: Sources): Generator<Piece> {
  const { start, end, layer } = mapping;
  const base = layer && sources.layers.get(layer.name);
  if (layer && base === undefined) throw new Error(`the layer ${layer.name} is not open`);
  const beneath = function* (from: number, to: number): Generator<Piece> {
    if (base === undefined || layer === undefined) return;
    const shift = layer.offset - start;
    for (const [first, last] of dataExtents(base, from + shift, to + shift))
      yield { at: first - layer.offset, length: last - first, file: base, offset: first };
  };
  let at = start;
  for (const run of runsWithin(runs, start, end)) {
    yield* beneath(at, run.start);
    yield { at: run.start - start, length: run.end - run.start, file: sources.pages, offset: run.at };
    at = run.end;
  }
  yield* beneath(at, end);
}

/** Writes a layer from pieces in ascending order. */
export class LayerAssembler {
  readonly #writer: LayerWriter;
  readonly #size: number;
  readonly #window = Buffer.alloc(WINDOW);
  #offset = -1;

  constructor(path: string, size: number) {
    this.#writer = new LayerWriter(path, size);
    this.#size = size;
  }

  /** Puts a piece's bytes at `base` plus its own place. */
  add(base: number, { at, length, file, offset }: Piece): void {
    for (let done = 0; done < length;) {
      const target = base + at + done;
      const window = target - (target % WINDOW);
      if (window !== this.#offset) this.#turn(window);
      const within = target - window;
      const count = Math.min(length - done, WINDOW - within);
      readInto(file, offset + done, offset + done + count, this.#window.subarray(within, within + count));
      done += count;
    }
  }

  #turn(next: number): void {
    if (this.#offset >= 0) {
      const length = Math.min(WINDOW, this.#size - this.#offset);
      this.#writer.write(this.#offset, this.#window.subarray(0, length));
      this.#window.fill(0);
    }
    this.#offset = next;
  }

  end(): LayerEntry {
    this.#turn(-1);
    return this.#writer.end();
  }

  abort(): void {
    this.#writer.abort();
  }
}

/** `contentsOf` as bytes: a window of a mapping, zeros where nothing is. `from` counts from the mapping's start. */
export class MappingReader {
  readonly #pieces: Iterator<Piece>;
  #piece: Piece | undefined;

  constructor(mapping: Mapping, runs: readonly SavedRun[], sources: Sources) {
    this.#pieces = contentsOf(mapping, runs, sources);
    this.#next();
  }

  #next(): void {
    const { value, done } = this.#pieces.next();
    this.#piece = done ? undefined : value;
  }

  /** Windows must be read in ascending order. */
  read(from: number, into: Buffer): void {
    into.fill(0);
    const to = from + into.length;
    while (this.#piece && this.#piece.at < to) {
      const { at, length, file, offset } = this.#piece;
      const first = Math.max(at, from);
      const last = Math.min(at + length, to);
      if (last > first) {
        const source = offset + first - at;
        readInto(file, source, source + last - first, into.subarray(first - from, last - from));
      }
      if (at + length > to) return;
      this.#next();
    }
  }
}
