/**
 * The bodies of streaming answers: NDJSON, one JSON value a line. Each is an async generator that ends when its signal says that
 * the reader has gone; an error after the first line becomes a last line.
 */
import { watch } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { AppEvent, ExecFrame, LogLine } from '../api/index.ts';
import { toAppShotError } from '../common/index.ts';
import type { Started } from '../exec/index.ts';
import type { Events } from './events.ts';

/** Bytes read of a log at a time, and the longest line that is not cut. */
const PIECE = 64 << 10;
const LONGEST_LINE = 1 << 20;

/** Tells a reader that there is more, or that it may go; rings that nobody waited for count as one. */
class Bell {
  #rung = Promise.withResolvers<void>();

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.ring(), { once: true });
  }

  ring(): void {
    this.#rung.resolve();
  }

  async heard(): Promise<void> {
    await this.#rung.promise;
    this.#rung = Promise.withResolvers();
  }
}

/** A generator's values as the lines of a response body. */
export const ndjson = (values: AsyncIterable<unknown>): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  const lines = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const value of values) yield encoder.encode(`${JSON.stringify(value)}\n`);
    } catch (error) {
      yield encoder.encode(`${JSON.stringify({ error: toAppShotError(error).toBody() })}\n`);
    }
  };
  return ReadableStream.from(lines());
};

export const eventStream = async function* (
  events: Events,
  since: number,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<AppEvent> {
  const queue: AppEvent[] = events.since(since);
  if (!follow) return yield* queue;
  const bell = new Bell(signal);
  const stop = events.listen((event) => {
    queue.push(event);
    bell.ring();
  });
  try {
    while (!signal.aborted) {
      yield* queue.splice(0);
      await bell.heard();
    }
  } finally {
    stop();
  }
};

export interface LogSource {
  readonly process: string;
  readonly stream: LogLine['stream'];
  readonly path: string;
}

/** Where the last `lines` lines of a file begin, in bytes. */
const startOfTail = async (path: string, lines: number): Promise<number> => {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (lines === 0) return size;
  const buffer = Buffer.alloc(PIECE);
  let left = lines;
  for (let end = size; end > 0;) {
    const begin = Math.max(0, end - PIECE);
    const { bytesRead } = await file.read(buffer, 0, end - begin, begin);
    for (let i = bytesRead - 1; i >= 0; i--) {
      const isLast = begin + i === size - 1;
      if (buffer[i] === 10 && !isLast && --left === 0) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
};

/** A log that is read on as it grows. */
class Follower {
  readonly source: LogSource;
  #at: number;
  #rest = '';
  #decoder = new StringDecoder('utf8');

  constructor(source: LogSource, at: number) {
    this.source = source;
    this.#at = at;
  }

  /** The lines that have come since; at the `end`, also one without its newline. */
  async *read(end: boolean): AsyncGenerator<LogLine> {
    const file = await open(this.source.path, 'r').catch(() => undefined);
    if (!file) return;
    try {
      // A log that has become shorter was cut, and begins anew.
      if ((await file.stat()).size < this.#at) this.#at = 0;
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE), 0, PIECE, this.#at);
        if (bytesRead === 0) break;
        this.#at += bytesRead;
        yield* this.#lines(this.#decoder.write(buffer.subarray(0, bytesRead)));
      }
    } finally {
      await file.close();
    }
    if (end && this.#rest !== '') yield this.#line(this.#rest);
  }

  *#lines(text: string): Generator<LogLine> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) yield this.#line(line);
    if (this.#rest.length < LONGEST_LINE) return;
    yield this.#line(this.#rest);
    this.#rest = '';
  }

  #line(text: string): LogLine {
    return { process: this.source.process, stream: this.source.stream, text };
  }
}

/** Rings with each change of a directory; returns what ends that. */
const watchDirectory = (directory: string, bell: Bell): (() => void) => {
  const watcher = watch(directory, () => bell.ring());
  watcher.on('error', () => bell.ring());
  return () => watcher.close();
};

/** The lines of several logs; with `follow`, also those to come: the directory tells when one has grown. */
export const logStream = async function* (
  directory: string,
  sources: readonly LogSource[],
  { tail, follow }: { tail: number | undefined; follow: boolean },
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const bell = new Bell(signal);
  // Watched before the first look, so that no line falls between the two.
  const stop = follow ? watchDirectory(directory, bell) : undefined;
  try {
    const followers = await Promise.all(
      sources.map(
        async (source) =>
          new Follower(source, tail === undefined ? 0 : await startOfTail(source.path, tail).catch(() => 0)),
      ),
    );
    for (const follower of followers) yield* follower.read(!follow);
    if (!follow) return;
    while (!signal.aborted) {
      await bell.heard();
      for (const follower of followers) yield* follower.read(false);
    }
  } finally {
    stop?.();
  }
};

const frames = async function* (
  type: 'stdout' | 'stderr',
  stream: Readable | null,
): AsyncGenerator<ExecFrame> {
  for await (const bytes of stream ?? []) yield { type, data: (bytes as Buffer).toString('base64') };
};

/** Values of several generators as they come. */
const merge = async function* <T>(sources: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  const pending = new Map(
    sources.map((source) => [source, source.next().then((next) => ({ source, next }))]),
  );
  while (pending.size > 0) {
    const { source, next } = await Promise.race(pending.values());
    if (next.done) pending.delete(source);
    else {
      pending.set(
        source,
        source.next().then((following) => ({ source, next: following })),
      );
      yield next.value;
    }
  }
};

const framesOf = async function* (program: Started): AsyncGenerator<ExecFrame> {
  try {
    yield* merge([frames('stdout', program.stdout), frames('stderr', program.stderr)]);
    yield { type: 'exit', ...(await program.exited) };
  } finally {
    void program.stop();
  }
};

/** A program's output and end. When the reader goes, be it before the first line, the program is ended. */
export const execStream = (
  program: Started,
  input: Buffer,
  signal: AbortSignal,
): AsyncGenerator<ExecFrame> => {
  const stop = (): void => void program.stop();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  void program.exited.then(() => signal.removeEventListener('abort', stop));
  program.stdin?.on('error', () => undefined);
  program.stdin?.end(input);
  return framesOf(program);
};
