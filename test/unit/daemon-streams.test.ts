/** Streaming answers, from real events, files and programs. */
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ExecFrame, LogLine } from '../../src/api/index.ts';
import { AppShotError } from '../../src/common/index.ts';
import { Events } from '../../src/daemon/events.ts';
import { eventStream, execStream, logStream, ndjson } from '../../src/daemon/streams.ts';
import type { LogSource } from '../../src/daemon/streams.ts';
import { start } from '../../src/exec/index.ts';
import type { Started } from '../../src/exec/index.ts';

const never = new AbortController().signal;

const collect = async <T>(values: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
};

describe('NDJSON', () => {
  const linesOf = async (values: AsyncIterable<unknown>): Promise<unknown[]> =>
    (await text(ndjson(values)))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  it('is a value a line, whatever is in it', async () => {
    const values = [{ text: 'a\nb\u2028"ü' }, 7, null];
    const given = async function* (): AsyncGenerator {
      yield* values;
    };
    expect(await text(ndjson(given()))).toMatch(/^[^\n]*\n7\nnull\n$/);
    expect(await linesOf(given())).toEqual(values);
  });

  it.each([
    [new AppShotError('BUSY', { name: 'web', operation: 'sleep' }), 'BUSY'],
    [new TypeError('x is not a function'), 'INTERNAL'],
  ])('ends with the error, when there is one: %s', async (error, code) => {
    const failing = async function* (): AsyncGenerator {
      yield { id: 1 };
      throw error;
    };
    const [first, last, ...more] = await linesOf(failing());
    expect(first).toEqual({ id: 1 });
    expect(last).toMatchObject({ error: { code } });
    expect(more).toEqual([]);
  });

  it('lets go of its source when the reader goes', async () => {
    let ended = false;
    const endless = async function* (): AsyncGenerator {
      try {
        for (let id = 0; ; id++) yield { id };
      } finally {
        ended = true;
      }
    };
    const reader = ndjson(endless()).getReader();
    await reader.read();
    await reader.cancel();
    expect(ended).toBe(true);
  });
});

describe('the stream of events', () => {
  it('ends with the last one, unless it is followed', async () => {
    const events = new Events();
    for (const type of ['a', 'b', 'c']) events.emit(type);
    const told = await collect(eventStream(events, 1, false, never));
    expect(told.map(({ type }) => type)).toEqual(['b', 'c']);
  });

  it('goes on with those to come, each once, until the reader goes', async () => {
    const events = new Events();
    const gone = new AbortController();
    events.emit('a');
    const stream = eventStream(events, 0, true, gone.signal);
    expect((await stream.next()).value).toMatchObject({ id: 1 });
    events.emit('b');
    events.emit('c');
    expect((await stream.next()).value).toMatchObject({ id: 2 });
    expect((await stream.next()).value).toMatchObject({ id: 3 });
    const next = stream.next();
    events.emit('d');
    expect((await next).value).toMatchObject({ id: 4 });
    const last = stream.next();
    gone.abort();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});

describe('the stream of logs', () => {
  const makeLogs = async (files: Record<string, string>) => {
    const directory = await mkdtemp(join(tmpdir(), 'appshot-logs-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
    const sources = Object.keys(files).map((name): LogSource => ({
      process: name,
      stream: 'stdout',
      path: join(directory, name),
    }));
    const path = (name: string): string => join(directory, name);
    const open = (tail?: number, follow = false, signal = never): AsyncGenerator<LogLine> =>
      logStream(directory, sources, { tail, follow }, signal);
    return { path, open };
  };
  const textsOf = async (lines: AsyncGenerator<LogLine>): Promise<string[]> =>
    (await collect(lines)).map((line) => line.text);
  const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `line ${i}`);

  it('is every line of every file, with its source, the last one with or without its end', async () => {
    const { open } = await makeLogs({ web: 'a\n\nb\n', cache: 'c\nd' });
    expect(await collect(open())).toEqual([
      { process: 'web', stream: 'stdout', text: 'a' },
      { process: 'web', stream: 'stdout', text: '' },
      { process: 'web', stream: 'stdout', text: 'b' },
      { process: 'cache', stream: 'stdout', text: 'c' },
      { process: 'cache', stream: 'stdout', text: 'd' },
    ]);
  });

  it.each([
    [0, 'a\nb\nc\n', []],
    [1, 'a\nb\nc\n', ['c']],
    [2, 'a\nb\nc\n', ['b', 'c']],
    [3, 'a\nb\nc\n', ['a', 'b', 'c']],
    [9, 'a\nb\nc\n', ['a', 'b', 'c']],
    [1, 'a\nb', ['b']],
    [2, 'a\n\n', ['a', '']],
    [1, '\n', ['']],
    [1, '', []],
  ])('may be the last %d lines of %j', async (tail, content, expected) => {
    const { open } = await makeLogs({ web: content });
    expect(await textsOf(open(tail))).toEqual(expected);
  });

  it('finds the end of a large file, also of one whose lines are longer than it reads at a time', async () => {
    const long = `${'x'.repeat(200_000)}é`;
    const { open } = await makeLogs({ web: `${[...numbered(20_000), long, 'last'].join('\n')}\n` });
    expect(await textsOf(open(3))).toEqual(['line 19999', long, 'last']);
    expect(await textsOf(open(15_000))).toHaveLength(15_000);
  });

  it('keeps characters whole that lie across what is read at a time', async () => {
    const line = `x${'é'.repeat(100_000)}`;
    const { open } = await makeLogs({ web: `${line}\n` });
    expect(await textsOf(open())).toEqual([line]);
  });

  it('cuts lines that are too long to keep', async () => {
    const { open } = await makeLogs({ web: `${'x'.repeat(3 << 20)}\nend\n` });
    const texts = await textsOf(open());
    expect(texts.at(-1)).toBe('end');
    expect(texts.slice(0, -1).join('')).toBe('x'.repeat(3 << 20));
    expect(Math.max(...texts.map((one) => one.length))).toBeLessThan(2 << 20);
  });

  it('goes on with lines to come, each when it is complete, until the reader goes', async () => {
    const { path, open } = await makeLogs({ web: 'a\nb' });
    const gone = new AbortController();
    const lines = open(undefined, true, gone.signal);
    const next = async (): Promise<string> => ((await lines.next()).value as LogLine).text;
    expect(await next()).toBe('a');
    await appendFile(path('web'), 'c');
    await appendFile(path('web'), 'd\ne\n');
    expect(await next()).toBe('bcd');
    expect(await next()).toBe('e');
    const last = lines.next();
    await appendFile(path('web'), 'f');
    gone.abort();
    expect(await last).toEqual({ done: true, value: undefined });
  });

  it('misses no line that came while an earlier one was on its way', async () => {
    const { path, open } = await makeLogs({ web: '', cache: 'one\n' });
    const gone = new AbortController();
    onTestFinished(() => gone.abort());
    const lines = open(undefined, true, gone.signal);
    expect((await lines.next()).value).toMatchObject({ process: 'cache', text: 'one' });
    // The first file has been read to its end, and is not looked at again before something changes.
    await appendFile(path('web'), 'two\n');
    expect((await lines.next()).value).toMatchObject({ process: 'web', text: 'two' });
  });

  it('begins with a file that is only made later', async () => {
    const { path, open } = await makeLogs({ web: '' });
    await rm(path('web'));
    expect(await textsOf(open(5))).toEqual([]);
    const gone = new AbortController();
    onTestFinished(() => gone.abort());
    const lines = open(0, true, gone.signal);
    const next = lines.next();
    await appendFile(path('web'), 'first\n');
    expect((await next).value).toMatchObject({ text: 'first' });
  });

  it('ends at once when the reader has gone before', async () => {
    const { open } = await makeLogs({ web: 'a\n' });
    expect(await textsOf(open(undefined, true, AbortSignal.abort()))).toEqual(['a']);
  });
});

describe('the stream of a program', () => {
  const run = async (script: string): Promise<Started> => {
    const program = await start('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'] });
    onTestFinished(() => void program.signal('SIGKILL'));
    return program;
  };
  const outputOf = (frames: readonly ExecFrame[], type: 'stdout' | 'stderr'): string =>
    frames.map((frame) => (frame.type === type ? Buffer.from(frame.data, 'base64').toString() : '')).join('');

  it('is both outputs, then its end', async () => {
    const program = await run('echo out; echo err >&2; echo more; exit 3');
    const frames = await collect(execStream(program, Buffer.alloc(0), never));
    expect(outputOf(frames, 'stdout')).toBe('out\nmore\n');
    expect(outputOf(frames, 'stderr')).toBe('err\n');
    expect(frames.at(-1)).toEqual({ type: 'exit', code: 3, signal: null });
  });

  it('gives it the input, and keeps bytes as they are', async () => {
    const input = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 256));
    const frames = await collect(execStream(await run('exec cat'), input, never));
    const bytes = frames.flatMap((frame) =>
      frame.type === 'stdout' ? [Buffer.from(frame.data, 'base64')] : [],
    );
    expect(Buffer.concat(bytes).equals(input)).toBe(true);
  });

  it('minds no program that does not read its input', async () => {
    const frames = await collect(execStream(await run('exit 0'), Buffer.alloc(1 << 20), never));
    expect(frames).toEqual([{ type: 'exit', code: 0, signal: null }]);
  });

  it('tells one output while the other is silent', async () => {
    const frames = execStream(await run('echo err >&2; exec sleep 60'), Buffer.alloc(0), never);
    expect((await frames.next()).value).toMatchObject({ type: 'stderr' });
  });

  it('ends the program when the reader goes', async () => {
    const program = await run('echo ready; exec sleep 60');
    const gone = new AbortController();
    const frames = execStream(program, Buffer.alloc(0), gone.signal);
    expect((await frames.next()).value).toMatchObject({ type: 'stdout' });
    const rest = collect(frames);
    gone.abort();
    expect(await rest).toEqual([{ type: 'exit', code: null, signal: 'SIGTERM' }]);
  });

  it.each([
    ['before the program was started', true],
    ['before the first line', false],
  ])('ends the program when the reader has gone %s', async (_, early) => {
    const program = await run('exec sleep 60');
    const gone = new AbortController();
    if (early) gone.abort();
    execStream(program, Buffer.alloc(0), gone.signal);
    gone.abort();
    expect(await program.exited).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('ends the program when the reader asks for no more', async () => {
    const program = await run('echo ready; exec sleep 60');
    const reader = ndjson(execStream(program, Buffer.alloc(0), never)).getReader();
    await reader.read();
    await reader.cancel();
    expect(await program.exited).toEqual({ code: null, signal: 'SIGTERM' });
  });
});
