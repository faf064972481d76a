/** Reading from a stream of bytes: so many, the rest, or in pieces of one size. Nothing holds more than a piece or what is asked for. */
import { damaged } from './refusal.ts';

export type Bytes = AsyncIterable<Uint8Array>;

const asBuffer = (chunk: Uint8Array): Buffer =>
  Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);

export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: Bytes) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Up to `most` bytes, at least one; empty at the end. */
  async #some(most: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return this.#held;
      this.#held = asBuffer(next.value);
    }
    const some = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(some.length);
    return some;
  }

  /** The next `size` bytes, as they come. Throws a refusal when the stream ends before. */
  async *pieces(size: number): AsyncGenerator<Buffer> {
    for (let left = size; left > 0;) {
      const some = await this.#some(Math.min(left, 1 << 20));
      if (some.length === 0) throw damaged('it ends too early');
      left -= some.length;
      yield some;
    }
  }

  /** The next `size` bytes together; the caller bounds `size`. */
  async exactly(size: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.pieces(size)) pieces.push(piece);
    return Buffer.concat(pieces, size);
  }

  /** Everything that is left. */
  async *rest(): AsyncGenerator<Buffer> {
    for (;;) {
      const some = await this.#some(1 << 20);
      if (some.length === 0) return;
      yield some;
    }
  }

  /** Lets the source know that no more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/** The same bytes in pieces of `size`; only the last may be shorter, and it alone is empty when there is nothing. */
export async function* inPieces(
  source: Bytes,
  size: number,
): AsyncGenerator<{ piece: Buffer; last: boolean }> {
  let held: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    held.push(chunk);
    length += chunk.length;
    if (length <= size) continue;
    let all = Buffer.concat(held, length);
    for (; all.length > size; all = all.subarray(size)) yield { piece: all.subarray(0, size), last: false };
    held = [all];
    length = all.length;
  }
  yield { piece: Buffer.concat(held, length), last: true };
}

/**
 * A source for a reader that may stop before its end and then closes what it reads: a decompressor stops where its data end.
 * Here that closes nothing, and the rest can be drained.
 */
export class Drainable implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>;
  #failure: unknown;

  constructor(source: Bytes) {
    this.#source = source[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      return await this.#source.next();
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  /** Reads what is left. Throws what the source threw, be it that the reader did not hear of it. */
  async drain(): Promise<void> {
    while ((await this.#next()).done !== true);
    if (this.#failure !== undefined) throw this.#failure;
  }
}
