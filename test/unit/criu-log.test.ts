import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { logTail, reasonIn } from '../../src/criu/index.ts';

const RLIMIT =
  "(00.000021) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted";
const SECCOMP =
  '(00.031207) Error (criu/cr-restore.c:1764): failed to suspend seccomp, restore will probably fail...';
const WARNING = '(00.004821) Warn  (criu/kerndat.c:1310): CRIU was built without libnftables support';
const CAUSE =
  "(00.041277)   1000: Error (criu/files-reg.c:2143): Can't open file var/log/app.log: No such file or directory ";
const CONSEQUENCE = '(00.052110) Error (criu/cr-restore.c:2536): Restoring FAILED.';

describe('the reason in a log', () => {
  it('is its first error, without time, task and place', () => {
    expect(reasonIn([WARNING, CAUSE, CONSEQUENCE])).toBe(
      "Can't open file var/log/app.log: No such file or directory",
    );
  });

  it('is not what the engine complains of and survives', () => {
    expect(reasonIn([RLIMIT, SECCOMP, CONSEQUENCE])).toBe('Restoring FAILED.');
  });

  it.each([[[]], [[WARNING]], [[RLIMIT, SECCOMP]]])('is not known from %j', (lines) => {
    expect(reasonIn(lines)).toBeUndefined();
  });
});

describe('the tail of a log', () => {
  const tailOf = async (text: string): Promise<string[]> => {
    const directory = await mkdtemp(join(tmpdir(), 'appshot-log-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    await writeFile(join(directory, 'dump.log'), text);
    return logTail(join(directory, 'dump.log'));
  };
  const numbered = (count: number, width = 0): string =>
    Array.from({ length: count }, (_, index) => `${String(index).padStart(width, '.')}\n`).join('');

  it('is its last twelve lines, without the empty ones', async () => {
    expect(await tailOf('a\n\nb')).toEqual(['a', 'b']);
    const lines = await tailOf(numbered(30));
    expect(lines).toHaveLength(12);
    expect([lines[0], lines[11]]).toEqual(['18', '29']);
  });

  it('is read from the end of a large file', async () => {
    const lines = await tailOf(numbered(20_000, 100));
    expect(lines).toHaveLength(12);
    expect(lines.at(-1)).toMatch(/^\.+19999$/);
  });

  it('is empty for an empty file, and for one that cannot be read', async () => {
    expect(await tailOf('')).toEqual([]);
    expect(await logTail('/nonexistent/dump.log')).toEqual([]);
    expect(await logTail('/')).toEqual([]);
  });
});
