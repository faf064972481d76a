import { openSync, closeSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppShotError } from '../../src/common/index.ts';
import { run, start } from '../../src/exec/index.ts';

const failureOf = async (attempt: Promise<unknown>): Promise<AppShotError> => {
  const thrown: unknown = await attempt.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(AppShotError);
  return thrown as AppShotError;
};

describe('run', () => {
  it('returns what the tool printed', async () => {
    const result = await run('sh', ['-c', 'echo out; echo err >&2']);
    expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', code: 0, signal: null });
  });

  it('hands arguments over as they are, without a shell', async () => {
    const odd = ['a b', '$HOME', '"; rm -rf /', '*', ''];
    const { stdout } = await run('printf', ['%s\\n', ...odd]);
    expect(stdout).toBe(`${odd.join('\n')}\n`);
  });

  it('writes the input and survives a tool that does not read it', async () => {
    expect((await run('cat', [], { input: 'text' })).stdout).toBe('text');
    expect((await run('true', [], { input: 'x'.repeat(1_000_000) })).code).toBe(0);
  });

  it('keeps characters whole that arrive in two pieces', async () => {
    const text = 'é'.repeat(200_000);
    expect((await run('cat', [], { input: text })).stdout).toBe(text);
  });

  it('reports a failure with tool, arguments, exit code, time and the end of its errors', async () => {
    const error = await failureOf(run('sh', ['-c', 'echo first >&2; echo last >&2; exit 3']));
    expect(error.code).toBe('TOOL_FAILED');
    expect(error.message).toBe('sh failed with exit code 3: last');
    expect(error.details).toMatchObject({ code: 3, signal: null, stderr: 'first\nlast' });
    expect(error.details['args']).toEqual(['-c', 'echo first >&2; echo last >&2; exit 3']);
    expect(error.details['ms']).toBeTypeOf('number');
  });

  it('accepts the exit codes it was told to', async () => {
    expect((await run('sh', ['-c', 'exit 3'], { acceptExit: [0, 3] })).code).toBe(3);
  });

  it('names the signal that ended a tool', async () => {
    const error = await failureOf(run('sh', ['-c', 'kill -KILL $$']));
    expect(error.message).toContain('signal SIGKILL');
  });

  it('ends a tool that takes too long, though a grandchild holds its output', async () => {
    const error = await failureOf(run('sh', ['-c', 'sleep 3 & echo $!; wait'], { timeoutMs: 100 }));
    expect(error.message).toContain('no end after 100 ms');
    expect(error.details['ms']).toBeLessThan(2500);
  });

  it('ends a tool when the caller aborts, before or after the start', async () => {
    const controller = new AbortController();
    const running = run('sleep', ['10'], { signal: controller.signal });
    controller.abort();
    expect((await failureOf(running)).message).toContain('the caller ended it');
    expect((await failureOf(run('sleep', ['10'], { signal: AbortSignal.abort() }))).code).toBe('TOOL_FAILED');
  });

  it.each([
    ['', []],
    ['true', ['a\0b']],
    ['tr\0ue', []],
  ])('refuses what execve cannot carry: %j %j', async (tool, args) => {
    const error = await failureOf(run(tool, args));
    expect(error.code).toBe('TOOL_FAILED');
    expect(error.message).toMatch(/NUL byte|empty/);
  });

  it('refuses environments that execve cannot carry', async () => {
    expect((await failureOf(run('true', [], { env: { 'A=B': 'x' } }))).message).toContain('"A=B"');
    expect((await failureOf(run('true', [], { env: { A: 'x\0' } }))).message).toContain('variable A');
  });

  it('says that a tool is not there', async () => {
    const error = await failureOf(run('/nowhere/tool'));
    expect(error.details).toMatchObject({ code: 'ENOENT' });
  });
});

describe('start', () => {
  it('stops with SIGTERM, and with SIGKILL what ignores it', async () => {
    const polite = await start('sleep', ['10']);
    expect(await polite.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    const stubborn = await start('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
    await new Promise((resolve) => stubborn.stdout?.once('data', resolve));
    expect(await stubborn.stop(50)).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('gives the child open descriptors by number', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'appshot-exec-'));
    const file = join(directory, 'out');
    const fd = openSync(file, 'w');
    try {
      const child = await start('sh', ['-c', 'echo three >&3'], {
        stdio: ['ignore', 'ignore', 'ignore', fd],
      });
      expect(await child.exited).toEqual({ code: 0, signal: null });
      expect(readFileSync(file, 'utf8')).toBe('three\n');
    } finally {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    }
  });

  it('answers at once when it has ended before', async () => {
    const child = await start('true', []);
    await child.exited;
    expect(child.signal('SIGTERM')).toBe(false);
    expect(await child.stop()).toEqual({ code: 0, signal: null });
  });

  it('makes a session leader of a detached child', async () => {
    const child = await start('sh', ['-c', 'ps -o sid= -p $$'], { detached: true });
    let printed = '';
    child.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    await child.exited;
    expect(Number(printed)).toBe(child.pid);
  });
});
