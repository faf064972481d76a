import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  AppShotError,
  KeyedLock,
  createLogger,
  endsWithin,
  formatDuration,
  formatSize,
  fsyncPath,
  newId,
  parseDuration,
  parseSize,
  readJson,
  sanitiseLine,
  sanitiseText,
  writeAtomically,
} from '../../src/common/index.ts';

describe('newId', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('gives ULIDs that only grow', () => {
    const ids = Array.from({ length: 5000 }, newId);
    expect(ids.every((id) => /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id))).toBe(true);
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('begins with the time, and grows when the clock steps back', () => {
    vi.useFakeTimers({ now: 2 ** 47 });
    const late = newId();
    expect(late.slice(0, 10)).toBe('4000000000');
    vi.setSystemTime(0);
    expect(newId() > late).toBe(true);
  });
});

describe('units', () => {
  it.each([
    ['500ms', 0.5],
    ['30s', 30],
    ['1.5m', 90],
    ['1h', 3600],
    ['2d', 172_800],
    ['0s', 0],
  ])('parse the duration %s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  it.each(['', '30', 's', '-1s', '1e3s', '30 s', '30sec', '1h30m', ' 1s', '30S'])(
    'refuse the duration %j',
    (text) =>
      expect(() => parseDuration(text)).toThrow(
        expect.objectContaining({
          code: 'USAGE',
          message: expect.stringContaining(`'${text}' is not a duration`) as string,
        }),
      ),
  );

  it.each([
    ['4096', 4096],
    ['512k', 524_288],
    ['64M', 67_108_864],
    ['64MiB', 67_108_864],
    ['64 mb', 67_108_864],
    ['1.5g', 1_610_612_736],
    ['10b', 10],
  ])('parse the size %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'm', '-1m', '1x', '1mm', '1ib', '9999999999999g', '0x10'])('refuse the size %j', (text) =>
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'USAGE' })),
  );

  it('parse what they format, up to rounding', () => {
    const near = (a: number, b: number): boolean => Math.abs(a - b) <= 0.06 * b;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) =>
        near(parseSize(formatSize(bytes).toLowerCase()), bytes),
      ),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), (ms) =>
        near(parseDuration(formatDuration(ms / 1000)), ms / 1000),
      ),
    );
  });

  it('format with the largest unit that fits', () => {
    expect([0, 0.0123, 0.9999, 1, 59, 90, 5400, 86_400].map(formatDuration)).toEqual([
      '0ms',
      '12.3ms',
      '999.9ms',
      '1s',
      '59s',
      '1.5m',
      '1.5h',
      '1d',
    ]);
    expect([0, 1023, 1024, 1536, 64 * 2 ** 20].map(formatSize)).toEqual([
      '0 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '64 MiB',
    ]);
  });
});

describe('sanitising', () => {
  it('makes control characters and directional marks visible', () => {
    expect(sanitiseLine('\u001b]0;owned\u0007')).toBe(String.raw`\x1b]0;owned\x07`);
    expect(sanitiseLine('a\r\n\tb\u007f\u009b')).toBe(String.raw`a\r\n\tb\x7f\x9b`);
    expect(sanitiseLine('user\u202Etxt.exe\ud800')).toBe(String.raw`user\u202etxt.exe\ud800`);
    expect(sanitiseText('one\r\ntwo\tthree\rfour\u001b[2J')).toBe(
      `one\ntwo\tthree${String.raw`\rfour\x1b[2J`}`,
    );
  });

  it('leaves other text alone and no control character behind', () => {
    expect(sanitiseLine('Grüße, 世界 👩‍💻')).toBe('Grüße, 世界 👩‍💻');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\p{Cs}]/u.test(sanitiseLine(text))),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => !/(?![\n\t])\p{Cc}/u.test(sanitiseText(text))),
    );
  });
});

describe('files', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-files-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('replaces a file whole and leaves nothing beside it', async () => {
    const path = join(directory, 'state.json');
    await writeAtomically(path, '{"a":1}');
    await writeAtomically(path, Buffer.from('{"a":2}'), 0o640);
    expect(await readJson(path)).toEqual({ a: 2 });
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    expect(await readdir(directory)).toEqual(['state.json']);
  });

  it('leaves the old file and no draft when it fails', async () => {
    // A directory cannot be replaced by a file: the last step fails.
    await expect(writeAtomically(directory, 'x')).rejects.toThrow('EISDIR');
    await expect(writeAtomically(join(directory, 'no', 'file'), 'x')).rejects.toThrow('ENOENT');
    expect(await readdir(directory)).toEqual([]);
    expect((await readdir(join(directory, '..'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await expect(fsyncPath(join(directory, 'no'))).rejects.toThrow('ENOENT');
  });

  it('reads only JSON of a bounded size', async () => {
    const path = join(directory, 'state.json');
    await writeFile(path, '"12345678"');
    expect(await readJson(path, 10)).toBe('12345678');
    await expect(readJson(path, 9)).rejects.toThrow(RangeError);
    await writeFile(path, '{');
    await expect(readJson(path)).rejects.toThrow(SyntaxError);
    expect(await readFile(path, 'utf8')).toBe('{');
  });
});

describe('KeyedLock', () => {
  it('runs one at a time for a key, in order, and names who holds it', async () => {
    const lock = new KeyedLock();
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = lock.run('a', 'sleep', async () => {
      await gate.promise;
      seen.push('first');
    });
    const second = lock.run('a', 'wake', () => seen.push(`second of ${lock.holder('a')}`));
    const other = lock.run('b', 'stop', () => seen.push('other'));
    await other;
    expect([lock.holder('a'), lock.holder('b')]).toEqual(['sleep', undefined]);
    gate.resolve();
    await Promise.all([first, second]);
    expect(seen).toEqual(['other', 'first', 'second of wake']);
    expect(lock.holder('a')).toBeUndefined();
  });

  it('goes on after a failure', async () => {
    const lock = new KeyedLock();
    const failing = lock.run('a', 'sleep', () => {
      throw new Error('no');
    });
    const after = lock.run('a', 'wake', () => 42);
    await expect(failing).rejects.toThrow('no');
    expect(await after).toBe(42);
  });
});

describe('the logger', () => {
  it('writes one JSON object a line, with the whole of an error', () => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'info', destination: { write: (line) => lines.push(line) } });
    logger.debug('not this');
    logger.child({ aid: 'A1' }).warn({ err: new AppShotError('APP_NOT_FOUND', { name: 'web' }) }, 'failed');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'warn',
      aid: 'A1',
      msg: 'failed',
      time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      err: { code: 'APP_NOT_FOUND', hint: '`appshot ps --all` lists them', details: { name: 'web' } },
    });
  });
});

describe('endsWithin', () => {
  it('tells whether it resolved in time, and fails as it does', async () => {
    await expect(endsWithin(Promise.resolve('x'), 10_000)).resolves.toBe(true);
    await expect(endsWithin(new Promise(() => undefined), 1)).resolves.toBe(false);
    await expect(endsWithin(Promise.reject(new Error('refused')), 10_000)).rejects.toThrow('refused');
  });
});
