/**
 * Memory layers: one sparse file that processes map, never changed once it has its name, which is its digest.
 *
 * The digest is the SHA-256 of the layer's packed form, which is also how it travels: the mark `ASLAYER1`, the length of the file, then
 * for each run of pages that are not all zeros its offset, its length and its bytes; numbers are 64-bit little-endian. A run ends
 * at the latest where a window of 1 MiB does. So the digest depends on the contents alone, not on where the file has holes.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { dataExtents } from '../../kernel/index.ts';
import type { LayerEntry } from '../manifest.ts';

export const PAGE = 4096;
/** How much of a layer is looked at at a time. */
export const WINDOW = 1 << 20;
const MARK = Buffer.from('ASLAYER1');
const HEADER = 16;
const LARGEST = 2 ** 50;
const ZEROS = Buffer.alloc(PAGE);

/** Why bytes are not a layer. */
export class LayerError extends Error {}

const pair = (first: Buffer | number, second: number): Buffer => {
  const bytes = Buffer.alloc(HEADER);
  if (typeof first === 'number') bytes.writeBigUInt64LE(BigInt(first));
  else first.copy(bytes);
  bytes.writeBigUInt64LE(BigInt(second), 8);
  return bytes;
};

/** The runs of pages in a window that are not all zeros: `[start, end)` within it. Its length is whole pages. */
function* runsOf(window: Buffer): Generator<[start: number, end: number]> {
  let start = -1;
  for (let at = 0; at <= window.length; at += PAGE) {
    const blank = at === window.length || ZEROS.equals(window.subarray(at, at + PAGE));
    if (blank && start >= 0) {
      yield [start, at];
      start = -1;
    } else if (!blank && start < 0) start = at;
  }
}

/** Writes a layer, window by window, and names it. */
export class LayerWriter {
  readonly #descriptor: number;
  readonly #size: number;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #packed = HEADER;

  /** Makes the file; `size` bytes are whole pages. Throws the file system's error. */
  constructor(path: string, size: number) {
    this.#descriptor = openSync(path, 'wx', 0o400);
    this.#size = size;
    try {
      ftruncateSync(this.#descriptor, size);
    } catch (cause) {
      closeSync(this.#descriptor);
      const impossible = (cause as NodeJS.ErrnoException).code === 'EFBIG';
      throw impossible ? new LayerError('its length is impossible', { cause }) : cause;
    }
    this.#hash.update(pair(MARK, size));
  }

  /** The contents from `offset` on, a whole number of windows; windows come in order, those that are all zeros may be left out. */
  write(offset: number, window: Buffer): void {
    for (const [start, end] of runsOf(window)) {
      const run = window.subarray(start, end);
      this.#hash.update(pair(offset + start, run.length)).update(run);
      for (let at = 0; at < run.length;)
        at += writeSync(this.#descriptor, run, at, run.length - at, offset + start + at);
      this.#bytes += run.length;
      this.#packed += HEADER + run.length;
    }
  }

  /** No more is written. */
  end(): LayerEntry {
    closeSync(this.#descriptor);
    return {
      digest: this.#hash.digest('hex'),
      size: this.#size,
      bytes: this.#bytes,
      packed: this.#packed,
      beside: 0,
    };
  }

  abort(): void {
    closeSync(this.#descriptor);
  }
}

/** Reads `[from, to)` of a file into `into`; what lies behind its end stays as it is. */
export const readInto = (descriptor: number, from: number, to: number, into: Buffer): void => {
  for (let at = from; at < to;) {
    const n = readSync(descriptor, into, at - from, to - at, at);
    if (n === 0) return;
    at += n;
  }
};

/** The windows of `[0, size)` in which a file has data. */
function* windowsOf(descriptor: number, size: number): Generator<number> {
  let last = -1;
  for (const [start, end] of dataExtents(descriptor, 0, size))
    for (let window = Math.max(last + 1, Math.floor(start / WINDOW)); window * WINDOW < end; window += 1) {
      yield window * WINDOW;
      last = window;
    }
}

/** The packed form of a layer's file, in pieces of at most a window. Throws the file system's error. */
export async function* packLayer(path: string): AsyncGenerator<Buffer> {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    yield pair(MARK, size);
    for (const offset of windowsOf(descriptor, size)) {
      const window = Buffer.alloc(Math.min(WINDOW, size - offset));
      readInto(descriptor, offset, offset + window.length, window);
      for (const [start, end] of runsOf(window)) {
        yield pair(offset + start, end - start);
        yield window.subarray(start, end);
      }
      // Others have their turn.
      await new Promise(setImmediate);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The digest of a layer's file as it is now. */
export const layerDigest = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const piece of packLayer(path)) hash.update(piece);
  return hash.digest('hex');
};

/** Hands out exact numbers of bytes of a stream. */
class Reader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  /** Undefined where the stream ends, if it may end here. */
  async take(count: number): Promise<Buffer | undefined> {
    const pieces = [this.#rest];
    let have = this.#rest.length;
    while (have < count) {
      const { value, done } = await this.#pieces.next();
      if (done) {
        if (have === 0) return undefined;
        throw new LayerError('it ends too early');
      }
      pieces.push(Buffer.from(value));
      have += value.length;
    }
    const all = pieces.length === 1 ? this.#rest : Buffer.concat(pieces);
    this.#rest = all.subarray(count);
    return all.subarray(0, count);
  }
}

/**
 * Makes a layer's file from its packed form, and returns what it is. Throws `LayerError` for bytes that are none; the file is then
 * the caller's to remove.
 */
export const unpackLayer = async (path: string, stream: AsyncIterable<Uint8Array>): Promise<LayerEntry> => {
  const reader = new Reader(stream);
  const header = await reader.take(HEADER);
  if (!header?.subarray(0, 8).equals(MARK)) throw new LayerError('it does not begin as one does');
  const size = Number(header.readBigUInt64LE(8));
  if (size % PAGE !== 0 || size > LARGEST) throw new LayerError('its length is impossible');
  const writer = new LayerWriter(path, size);
  try {
    let end = 0;
    for (let head; (head = await reader.take(HEADER)) !== undefined;) {
      const [offset, length] = [Number(head.readBigUInt64LE(0)), Number(head.readBigUInt64LE(8))];
      const aligned = offset % PAGE === 0 && length % PAGE === 0;
      // Runs that could have been one, or that cross a window, would have another digest when they are read again.
      const first = offset > end || offset % WINDOW === 0;
      const whole = Math.floor(offset / WINDOW) * WINDOW + WINDOW;
      if (!aligned || !first || length === 0 || offset < end || offset + length > Math.min(size, whole))
        throw new LayerError('a run is out of place');
      const run = await reader.take(length);
      if (!run) throw new LayerError('it ends too early');
      writer.write(offset, run);
      end = offset + length;
    }
    return writer.end();
  } catch (error) {
    writer.abort();
    throw error;
  }
};
