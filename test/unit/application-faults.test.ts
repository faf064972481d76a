/** Faults on purpose, against real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Faults } from '../../src/application/faults.ts';
import type { Engine } from '../../src/criu/index.ts';
import type { Environment } from '../../src/environments/index.ts';

/** The shell stands for the engine: processes that execute it are ended by the action `engine`. */
const SHELL = realpathSync('/bin/sh');
const engineOf = (program: string): Engine => ({
  format: 1,
  version: '4.1.1',
  source: 'private',
  command: [program],
  descriptors: '/nonexistent',
  init: '/nonexistent',
  testedOn: { kernel: '6.1', machine: 'x86_64' },
});
const faults = (variable: string | undefined, program = SHELL): Faults =>
  new Faults(variable, engineOf(program));

/** A shell (an environment's PID 1) with a child that executes the shell too (its engine). */
const environment = async (): Promise<{ pid: number; ended: Promise<unknown[]>; end: () => void }> => {
  const child = spawn(SHELL, ['-c', `${SHELL} -c 'echo ready; read -r line; exit 3'; exit $?`], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(child, 'exit');
  onTestFinished(() => void child.stdin.end());
  await once(child.stdout, 'data');
  return { pid: child.pid ?? 0, ended, end: () => void child.stdin.end('go on\n') };
};

describe('a fault', () => {
  it('fails the step at which it was asked for', () => {
    const some = faults('sleep.save.post-dump=fail');
    expect(() => some.at('sleep', 'save', 'post-dump', undefined)).toThrow(
      'a fault was asked for at sleep.save.post-dump',
    );
  });

  it.each([
    ['wake', 'save', 'post-dump'],
    ['sleep', 'commit', 'post-dump'],
    ['sleep', 'save', 'before'],
    ['sleep', 'save', ''],
  ])('is not at %s %s %s', (operation, step, when) => {
    expect(() => faults('sleep.save.post-dump=fail').at(operation, step, when, undefined)).not.toThrow();
  });

  it.each([undefined, '', '=', 'sleep.save.before', 'sleep.save.before=', 'sleep.save.before=explode'])(
    'is none in %j',
    (variable) => {
      expect(() => faults(variable).at('sleep', 'save', 'before', undefined)).not.toThrow();
    },
  );

  it('ends the daemon as by SIGKILL', async () => {
    const program = `
      import { Faults } from ${JSON.stringify(join(import.meta.dirname, '../../src/application/faults.ts'))};
      const faults = new Faults('wake.restore.after=kill', ${JSON.stringify(engineOf(SHELL))});
      faults.at('wake', 'restore', 'before', undefined);
      process.stdout.write('before');
      faults.at('wake', 'restore', 'after', undefined);
      process.stdout.write('after');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (data: Buffer) => (told += data.toString()));
    expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
    expect(told).toBe('before');
  });

  it('ends the engine of an environment, and not the environment', async () => {
    const { pid, ended } = await environment();
    faults('sleep.save.before=engine').at('sleep', 'save', 'before', { pid } as Environment);
    expect(await ended).toEqual([137, null]);
  });

  it('ends no process that is another program', async () => {
    const { pid, ended, end } = await environment();
    const some = faults('sleep.save.before=engine', process.execPath);
    some.at('sleep', 'save', 'before', { pid } as Environment);
    end();
    expect(await ended).toEqual([3, null]);
  });
});
